"""Date-times are seconds since the origin in the model's unit, or refused where they may be two."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.files.readings.cases import refusal, table

pytestmark = pytest.mark.serial

ORIGIN = datetime(2021, 8, 25, 14, 0)
HOURS = [0.05, 10.0, 24.0]
"""From the origin to 14:03 of the day, midnight, and 14:00 of the next."""
COLUMNS = {
    "time": ["2021-08-25T14:03:00", "2021-08-26", "2021-08-26T14:00"],
    "Date": ["2021-08-25 14:03:00.000", "2021-08-26 00:00", "2021-08-26 14:00:00"],
    "timestamp": ["2021/08/25 14:03", "2021/8/26", "2021/8/26 14:00"],
    "datetime": ["25.08.2021 14:03", "26.08.2021", "26.08.2021 14:00"],
    "t": ["25/08/2021 14:03", "26/08/2021 0:00", "26/08/2021 14:00:00"],
    "date time": ["08/25/2021 14:03", "08/26/2021", "8/26/2021 14:00"],
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("separator", [",", ";"])
def test_formats(tmp_path, name, separator):
    lines = [f"x,{name},value", *(f"1,{text},0.{i}" for i, text in enumerate(COLUMNS[name]))]
    text = "\n".join(lines).replace(",", separator)
    if separator == ";":
        text = text.replace("0.", "0,").replace("14:03:00,000", "14:03:00.000")
        text = text.replace("10,", "10.") if "." in COLUMNS[name][0] else text
    found = table(tmp_path, text, origin=ORIGIN, unit="h")
    np.testing.assert_allclose(found.numbers["t"], HOURS, rtol=1e-15)
    assert "time in h from 2021-08-25 14:00:00 on" in found.said


def test_a_column_of_dates_beside_one_of_times(tmp_path):
    text = "x,date,time,value\n1,2021-08-25,14:03,1\n1,2021-08-26,00:00:00,2\n"
    found = table(tmp_path, text, origin=ORIGIN, unit="min")
    np.testing.assert_allclose(found.numbers["t"], [3.0, 600.0], rtol=1e-15)


def test_zones(tmp_path):
    text = "x,t,value\n1,2021-08-25T14:03:00Z,1\n1,2021-08-25T16:03:00+02:00,2\n"
    found = table(tmp_path, text, origin=ORIGIN.replace(tzinfo=UTC), unit="min")
    np.testing.assert_array_equal(found.numbers["t"], [3.0, 3.0])
    assert "both with a zone, or none" in refusal(tmp_path, text, origin=ORIGIN, unit="min")
    mixed = text.replace("+02:00", "")
    assert "row 3" in refusal(tmp_path, mixed, origin=ORIGIN, unit="min")


def test_bins_of_date_times(tmp_path):
    text = "x,start,end,value\n1,2021-08-25T14:00,2021-08-25T15:00,1\n"
    found = table(tmp_path, text, origin=ORIGIN, unit="h")
    assert (found.numbers["t_start"][0], found.numbers["t_end"][0]) == (0.0, 1.0)


def test_a_stated_format_decides(tmp_path):
    text = "x,t,value\n1,05/08/2021 14:00,1\n1,06/08/2021 14:00,2\n"
    said = refusal(tmp_path, text, origin=ORIGIN, unit="d")
    assert "row 2: t = '05/08/2021 14:00' may begin with the day or the month" in said
    assert 'observations.time_format = "%d/%m/%Y %H:%M"' in said
    origin = datetime(2021, 5, 8, 14)
    day = table(tmp_path, text, origin=datetime(2021, 8, 5, 14), unit="d",
                time_format="%d/%m/%Y %H:%M")  # fmt: skip
    month = table(tmp_path, text, origin=origin, unit="d", time_format="%m/%d/%Y %H:%M")
    np.testing.assert_array_equal(day.numbers["t"], [0.0, 1.0])
    np.testing.assert_array_equal(month.numbers["t"], [0.0, 31.0])
    plain = "x,t,value\n1,20210825,1\n"
    found = table(tmp_path, plain, origin=ORIGIN, unit="h", time_format="%Y%m%d")
    np.testing.assert_array_equal(found.numbers["t"], [-14.0])


BAD = {
    "14:03": "has no date",
    "25.08.21": "four digits",
    "2021-02-30": "no date-time",
    "2021-08-25T25:00": "no date-time",
    "08/25/2021 2:03 PM": "observations.time_format",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_date_time(tmp_path, text):
    said = refusal(tmp_path, f"x,t,value\n1,{text},1\n", origin=ORIGIN, unit="h")
    assert said.startswith("observations.file: /a.csv, row 2: t = ")
    assert BAD[text] in said


def test_what_has_to_be_stated(tmp_path):
    text = "x,t,value\n1,2021-08-25T14:03,1\n"
    assert "observations.origin = 2021-08-25T14:03:00" in refusal(tmp_path, text, unit="h")
    assert "time.unit" in refusal(tmp_path, text, origin=ORIGIN)
    both = "x,t,value\n1,2021-08-25T14:03,1\n1,3.0,1\n"
    assert "row 3: t = '3.0' is no date-time" in refusal(tmp_path, both, origin=ORIGIN, unit="h")
    epoch = "x,timestamp,value\n1,1629900180,1\n"
    assert "'timestamp'" in refusal(tmp_path, epoch)


@pytest.mark.parametrize(("unit", "right"), [("h", 1.5), ("s", 5400.0), ("d", 0.0625), (None, 90)])
def test_a_stated_unit_is_converted(tmp_path, unit, right):
    found = table(tmp_path, "x,t [min],value\n1,90,1\n", unit=unit)
    assert found.numbers["t"][0] == pytest.approx(right, rel=1e-15)
    assert found.units["t"] == (unit or "min")
    assert (f"t from min to {unit}" in found.said) == (unit is not None)
