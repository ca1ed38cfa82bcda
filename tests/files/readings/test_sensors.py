"""Sensors by name: a column each, or a column of names, with their places in a second file."""

from __future__ import annotations

import numpy as np
import pytest

from tests.files.readings.cases import refusal, table

pytestmark = pytest.mark.serial

WIDE = "time [h];A [mg/l];B [mg/l];C [mg/l]\n1;0,5;0,6;\n2;0,4;NA;<0,1\n"
WELLS = "Well,x [m],y [m],std\nB,2,3,.2\nA,1,2,.1\nC,3,4,.3\nD,5,5,.1\n"


def wells(folder, content: str = WELLS):
    path = folder / "wells.csv"
    path.write_text(content)
    return path


def test_a_column_a_sensor(tmp_path):
    found = table(tmp_path, WIDE, "xy", sensors=wells(tmp_path))
    assert list(found.texts["sensor"]) == ["A", "B", "A", "C"]
    np.testing.assert_array_equal(found.points, [[1, 2], [2, 3], [1, 2], [3, 4]])
    np.testing.assert_array_equal(found.numbers["value"], [0.5, 0.6, 0.4, 0.1])
    np.testing.assert_array_equal(found.numbers["t"], [1, 1, 2, 2])
    np.testing.assert_array_equal(found.numbers["std"], [0.1, 0.2, 0.1, 0.3])
    np.testing.assert_array_equal(found.censored, [0, 0, 0, -1])
    assert list(found.lines) == [2, 2, 3, 3]
    assert found.missing == 2
    assert found.units == {"x": "m", "y": "m", "t": "h", "value": "mg/l"}
    assert "3 sensors, a column each; places from wells.csv; 2 missing" in found.said


def test_a_column_of_names(tmp_path):
    text = "well,t,c,std\nC,1,.5,.1\nA,1,.6,.1\n"
    places = wells(tmp_path, "sensor;x;x2\nA;1,5;2,5\nC;3;\n")
    found = table(tmp_path, text, "x", sensors=places)
    np.testing.assert_array_equal(found.points, [[3.0], [1.5]])
    np.testing.assert_array_equal(found.has("x2"), [False, True])


BAD = {
    "no such sensor": (WIDE, "sensor,x\nA,1\nB,2\n", ["'C [mg/l]' is no sensor of wells.csv"]),
    "nor by name": ("well,t,c\nE,1,1\n", WELLS, ["row 2: sensor 'E' is not in wells.csv"]),
    "there twice": (WIDE, WELLS.replace("D", "A"), ["observations.sensors", "'A' is there twice"]),
    "no names": (WIDE, "x,y\n1,1\n", ["has no column 'sensor'"]),
    "no place": (WIDE, "sensor\nA\n", ["wells.csv", "column 'x'"]),
    "places of its own": ("x,t,value\n1,1,1\n", WELLS, ["places of its own", "remove the key"]),
    "two stds": ("well,t,c,std\nA,1,1,1\n", WELLS, ["column 'std' is in wells.csv too"]),
    "in two units": (WIDE.replace("B [mg/l]", "B [ug/l]"), WELLS, ["'A [mg/l]'", "'ug/l'"]),
    "in doubt": (WIDE, "sensor;x\nA;1,500\nB;2\nC;3\n", ["sensors", "row 2: x = '1,500'"]),
    "a cell": (WIDE.replace("0,4", "0_4"), WELLS, ["row 3: value of A = '0_4'"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_together(tmp_path, name):
    content, places, parts = BAD[name]
    axes = "xy" if "y" in places.splitlines()[0] else "x"
    text = refusal(tmp_path, content, axes, sensors=wells(tmp_path, places))
    for part in parts:
        assert part in text
    assert "observations.decimal" not in text


def test_no_such_file(tmp_path):
    text = refusal(tmp_path, WIDE, sensors=tmp_path / "none.csv")
    assert text.startswith("observations.sensors") and "no such file" in text
