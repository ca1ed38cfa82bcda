"""What may mean two things, or nothing, is refused in a line that says what to do."""

from __future__ import annotations

import pytest

from tests.files.readings.cases import refusal

pytestmark = pytest.mark.serial

CELLS = {
    "1_0": "mend the row",
    "0x1F": "mend the row",
    "1e999": "not finite",
    "inf": "not finite",
    "nan": "not finite",
    "१": "no number",
    "1 000": "no number",
    "5 %": "no number",
    "-": "observations.missing = ['-']",
    "ND": "observations.missing = ['ND']",
    "-999": "observations.missing = -999",
    "-9999.0": "observations.missing = -9999.0",
    "9.96921e36": "observations.missing = 9.96921e36",
    "<": "no number",
    "<ND": "no limit of detection",
    "<<1": "no limit of detection",
}


@pytest.mark.parametrize("cell", CELLS)
def test_cells(tmp_path, cell):
    text = refusal(tmp_path, f"x,t,value\n1,1,.5\n1,2,{cell}\n1,3,.4\n")
    assert text.startswith("observations.file: /a.csv, row 3: value = ")
    assert CELLS[cell] in text


TABLES = {
    "thousands or decimals": (
        "x;t;value\n1;1;1,234\n",
        ["row 2: value = '1,234'", "thousands", 'observations.decimal = "," or "."'],
    ),
    "the same with a point": (
        "x;t;value\n1;1;1.234\n",
        ["row 2: value = '1.234' may have a decimal point, or thousands", "observations.decimal"],
    ),
    "thousands in one column of points": (
        'x,t,value\n"1,500",1,0.5\n',
        ["x = '1,500'", "observations.decimal"],
    ),
    "two decimal signs": (
        "x;t;value\n1;1;0,5\n1;2;2.345\n",
        ["row 2: value = '0,5'", "2.345 in row 3 a point", "observations.decimal"],
    ),
    "commas for both": ("x,t,value\n0,5,1,0,5\n", ["5 entries", "columns by semicolons"]),
    "two separators": (
        "x,t;value,std\n1,1;1,1\n",
        ["commas or semicolons", "observations.separator = ','"],
    ),
    "no header": ("1,1,.5\n1,2,.4\n", ["no header", "x, …, t, value"]),
    "a unit of another kind": ("x,T [°C],value\n1,1,.5\n", ["'T [°C]'", "no unit of time"]),
    "another in the row of units": ("x,t,value\ncm,kg,\n1,1,1\n", ["'kg' is no unit of time"]),
    "units and numbers": ("x,t,value\ncm,h,.3\n1,1,1\n", ["row 2", "the number .3"]),
    "two units of one column": ("x [m],t,value\ncm,h,\n1,1,1\n", ["'x [m]' is in 'cm'"]),
    "two names": ("x,t,value,c\n1,1,1,1\n", ["'value' and 'c'", "observations.columns"]),
    "in doubt": ("x,t,theta\n1,1,1\n", ["'theta'", 'observations.columns = { value = "theta" }']),
    "std in percent": ("x,t,value,std [%]\n1,1,1,5\n", ["std is in %"]),
    "a sensor a column": ("t,A,B\n1,1,1\n", ["'A'", "observations.sensors"]),
    "a sensor a column, one is C": ("t,A,C\n1,1,1\n", ["'A'", "observations.sensors"]),
    "nothing but blanks": ("x,t,value\n1,1,\n1,2,NA\n", ["all values are missing"]),
    "no time": ("x,t,value\n1,,1\n", ["row 2: value = 1 has no time"]),
    "no place": ("x,t,value\n,1,1\n", ["row 2: value = 1 has no x"]),
    "no std": ("x,t,value,std\n1,1,1,\n", ["row 2: value = 1 has no std"]),
    "half a bin": ("x,t_start,t_end,value\n1,1,,1\n", ["row 2: t_start = 1 has no t_end"]),
    "a bin backwards": ("x,t_start,t_end,value\n1,2,1,1\n", ["t_end = 1 is not after t_start"]),
    "a bin and a time": ("x,t,t_start,t_end,value\n1,1,1,2,1\n", ["t = 1 stands beside t_start"]),
    "no length": ("x,x2,t,value\n1,1,1,1\n", ["x2 = 1 is where the segment begins"]),
    "no radius": ("x,radius,t,value\n1,0,1,1\n", ["radius = 0 is not positive"]),
    "disc and beam": ("x,x2,radius,t,value\n1,2,1,1,1\n", ["radius = 1 stands beside"]),
    "place and part": ("x,part,t,value\n1,a,1,1\n", ["part = 'a' stands beside x"]),
    "another kind": ("x,t,value,kind\n1,1,1,total\n", ["kind = 'total'", "value, flux"]),
    "a flag": ("x,t,value,censored\n1,1,1,2\n", ["censored = '2' is not known"]),
    "flag and cell": ("x,t,value,censored\n1,1,<1,0\n", ["'<1'", "'censored' differ"]),
    "a zip file": (b"PK\x03\x04\x00\x00abc\x80", ["not text", "give a .csv"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    content, parts = TABLES[name]
    text = refusal(tmp_path, content)
    for part in parts:
        assert part in text


def test_half_a_segment(tmp_path):
    text = refusal(tmp_path, "x,y,x2,y2,t,value\n1,1,2,,1,1\n", "xy")
    assert "is of a segment without y2" in text


STATED = {
    "separator": ("x,t,value\n1,1,1\n", {"separator": ";"}, ["observations.separator = ';'"]),
    "no number by it": ("x;t;value\n1;1;0.5\n", {"decimal": ","}, ["'0.5' is no number"]),
    "origin": ("x,t,value\n1,1,1\n", {"origin": "2021"}, ["observations.origin", "numbers"]),
    "columns": ("x,t,c1\n1,1,1\n", {"columns": {"value": "c"}}, ["columns.value = 'c'", "'c1'"]),
    "twice": (
        "x,t,c\n1,1,1\n",
        {"columns": {"value": "c", "t": "c"}},
        ["observations.columns.t = 'c'", "it is value too"],
    ),
    "time.unit": ("x,t [furlong],value\n1,1,1\n", {"unit": "h"}, ["time.unit = 'h'", "'furlong'"]),
}


@pytest.mark.parametrize("name", STATED)
def test_keys_that_do_not_fit_the_file(tmp_path, name):
    from datetime import datetime

    content, stated, parts = STATED[name]
    if "origin" in stated:
        stated = {"origin": datetime(2021, 8, 25)}
    text = refusal(tmp_path, content, **stated)
    for part in parts:
        assert part in text
