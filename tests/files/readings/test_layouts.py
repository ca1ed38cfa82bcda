"""The same readings in the layouts of spreadsheets, loggers and programs are the same table."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.files.readings.cases import table

pytestmark = pytest.mark.serial

ROWS = np.array([[11.0, 0.25, -0.051, 0.01], [11.0, 1.5, 1.234, 0.02], [17.5, 20.0, 2e-5, 0.03]])
HEADERS = {
    "ours": (["x", "t", "value", "std"], {}),
    "capitals": (["X", "T", "Value", "STD"], {}),
    "units": (["X [cm]", "time (h)", "conc [mg/l]", "sigma"], {"x": "cm", "t": "h"}),
    "words": (["Depth_cm", "Time / h", "C", "standard deviation"], {"x": "cm", "t": "h"}),
}
TEXTS = {"utf-8": "", "utf-8-sig": "", "utf-16": "UTF-16", "latin-1": "Latin-1"}


def written(header, separator: str, decimal: str, above: str = "") -> str:
    """The rows above as a text, some quoted where the decimal sign is the separator."""
    lines = [separator.join(header)]
    for row in ROWS:
        cells = [f"{number:.6g}".replace(".", decimal) for number in row]
        cells = [f'"{c}"' if separator in c else c for c in cells]
        lines.append(separator.join(cells))
    return above + "\n".join(lines) + "\n"


def check(found, units) -> None:
    for name, column in zip(("x", "t", "value", "std"), ROWS.T, strict=True):
        np.testing.assert_array_equal(found.numbers[name], column)
    assert {name: found.units[name] for name in units} == units


@pytest.mark.parametrize("separator", list(",;\t| "))
@pytest.mark.parametrize("decimal", list(".,"))
@pytest.mark.parametrize("header", HEADERS)
def test_separators_decimal_signs_and_headers(tmp_path, separator, decimal, header):
    names, units = HEADERS[header]
    if separator == " ":
        names = [f'"{name}"' for name in names]
    found = table(tmp_path, written(names, separator, decimal))
    check(found, units)
    word = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}[separator]
    assert f"a.csv: {word}, decimal {'comma' if decimal == ',' else 'point'};" in found.said


@pytest.mark.parametrize("encoding", TEXTS)
def test_encodings(tmp_path, encoding):
    text = written(["x", "t", "value [µg/l]", "std"], ";", ",").replace("\n", "\r\n")
    found = table(tmp_path, text.encode(encoding))
    check(found, {"value": "µg/l"})
    assert TEXTS[encoding] in found.said


ABOVE = ("# a, b; c", '% "open', "// note", "", "#")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_comments_and_ends_of_lines(tmp_path, end):
    text = written(["x", "t", "value", "std"], ",", ".", "\n".join(ABOVE) + "\n")
    text = text.replace("17.5", "# between\n\n17.5").replace("\n", end)
    found = table(tmp_path, text)
    check(found, {})
    assert list(found.lines) == [7, 8, 11]


def test_marks_of_programs(tmp_path):
    """Excel's first line, the index of pandas and R, cells that a spreadsheet leaves empty."""
    names = ["x", "t", "value", "std"]
    check(table(tmp_path, written(names, ";", ",", "sep=;\n")), {})
    lines = written(names, ",", ".").splitlines()
    for start in (0, 1):
        counted = [f"{i + start - 1 if i else ''},{line}" for i, line in enumerate(lines)]
        found = table(tmp_path, "\n".join(counted))
        check(found, {})
        assert "numbers of the rows passed over" in found.said
    check(table(tmp_path, "\n".join(f"{line},," for line in lines)), {})
    check(table(tmp_path, "\n".join([lines[0], *(f"{line}," for line in lines[1:])])), {})
    check(table(tmp_path, f"# {written(names, ' ', '.')}"), {})


@pytest.mark.parametrize(
    "units", ["cm,h,mg/l,mg/l", "[cm],[h],[mg/l],[mg/l]", "(cm),h,,", "cm,,-,1"]
)
def test_a_second_row_of_units(tmp_path, units):
    header, rest = written(["x", "t", "value", "std"], ",", ".").split("\n", 1)
    check(table(tmp_path, f"{header}\n{units}\n{rest}"), {"x": "cm"})


def test_columns_in_any_order_with_others_passed_over(tmp_path):
    text = "remark,ch4,depth,minute\nrain,.5,11,1\n,.6,12,2\n"
    named = {"value": "ch4", "t": "minute"}
    found = table(tmp_path, text, columns=named)
    np.testing.assert_array_equal(found.numbers["value"], [0.5, 0.6])
    np.testing.assert_array_equal(found.numbers["x"], [11.0, 12.0])
    assert "passed over: 'remark'" in found.said


def test_missing_readings_are_counted_and_left_out(tmp_path):
    text = "x,t,value\n1,1,.5\n1,2,\n1,3,NA\n1,,NA\n1,4,-999\n1,5,-999.0\n1,6,bad\n1,7,.7\n"
    found = table(tmp_path, text, missing=[-999.0, "bad"])
    np.testing.assert_array_equal(found.numbers["t"], [1.0, 7.0])
    assert found.missing == 6
    assert "; 6 missing" in found.said
    kept = table(tmp_path, "x,t,value\n1,1,.5\n1,4,-999\n", missing=[])
    np.testing.assert_array_equal(kept.numbers["value"], [0.5, -999.0])


def test_values_of_any_size_are_not_taken_for_marks(tmp_path):
    values = ["999 998 1001 1000", "-99 -80 -120 30", "9999 1e4 2e4 1e3", "-999 -10 -2000 0", "999"]
    for line in values:
        text = "x,t,value\n" + "".join(f"1,{i},{v}\n" for i, v in enumerate(line.split()))
        np.testing.assert_array_equal(
            table(tmp_path, text).numbers["value"], [float(v) for v in line.split()]
        )


def test_non_detects(tmp_path):
    found = table(tmp_path, "x;t;value\n1;1;<0,01\n1;2;0,5\n1;3;> 2\n")
    np.testing.assert_array_equal(found.numbers["value"], [0.01, 0.5, 2.0])
    np.testing.assert_array_equal(found.censored, [-1, 0, 1])
    assert "1 below a limit of detection; 1 above a limit" in found.said
    words = "x,t,value,censored\n1,1,.5,yes\n1,2,.5,0\n1,3,.5,right\n1,4,.5,\n"
    np.testing.assert_array_equal(table(tmp_path, words).censored, [-1, 0, 1, 0])


def test_thousands_are_read_where_the_decimal_sign_is_stated(tmp_path):
    for sign, cells in ((".", ("1,234", "0.5", "12,345.5")), (",", ("1.234", "0,5", "12.345,5"))):
        text = "x;t;value\n" + "".join(f"1;{i};{c}\n" for i, c in enumerate(cells))
        found = table(tmp_path, text, decimal=sign)
        np.testing.assert_array_equal(found.numbers["value"], [1234.0, 0.5, 12345.5])
        assert "thousands parted by" in found.said
    one = table(tmp_path, "x;t;value\n1;1;1,234\n", decimal=",")
    assert one.numbers["value"] == [1.234]


def test_all_separators_in_every_cell_are_never_read_wrongly(tmp_path):
    """Numbers written in one way, read by every stated sign: the right ones or none."""
    from advdiff.core.errors import InputError

    for separator, decimal in itertools.product(",;\t", ".,"):
        text = written(["x", "t", "value", "std"], separator, decimal)
        for stated in itertools.product([None, ",", ";", "\t"], [None, ".", ","]):
            try:
                found = table(tmp_path, text, separator=stated[0], decimal=stated[1])
            except InputError:
                continue
            if stated[1] in (None, decimal):
                check(found, {})


@pytest.mark.parametrize("separator", [",", " ", "\t"])
def test_points_are_decimal_where_nothing_else_can_be(tmp_path, separator):
    """Beside commas and spaces, and where one of them cannot part thousands."""
    text = "x,t,value\n1,2,1.234\n1,3,2.345\n" + ("1,4,.5\n" if separator == "\t" else "")
    found = table(tmp_path, text.replace(",", separator))
    np.testing.assert_array_equal(found.numbers["value"][:2], [1.234, 2.345])
