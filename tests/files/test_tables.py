"""What is a number in a table, and what is not."""

import math

import pytest

from advdiff.core.errors import InputError
from advdiff.files import tables

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("text", ["0", "-1", "+2.5", ".5", "5.", "1e9", "-1.5E-03", "007"])
def test_numbers(text):
    assert tables.number(text) == float(text)


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-INF"])
def test_what_is_not_finite_is_left_to_the_reader(text):
    assert not math.isfinite(tables.number(text))


NO_NUMBERS = ["1_0", "1_000.5", "0x10", "１０", "١", "1e", "e5", "1 0", "--1", "1e1_0", "infinity"]
REMEDIES = [("0,051", "decimal point"), ("<0.005", "limit of detection"), ("", "fill it in")]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text):
    with pytest.raises(ValueError, match="mend the row"):
        tables.number(text)


@pytest.mark.parametrize(("text", "remedy"), REMEDIES)
def test_remedies(text, remedy):
    with pytest.raises(ValueError, match=remedy):
        tables.number(text)


def test_columns_name_the_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n\n3,1_0\n")
    with pytest.raises(InputError, match=r"row 4: b = '1_0' is no finite number; mend the row"):
        tables.columns(path, "truth.file", ["a", "b"])


def test_empty_columns_on_the_right_are_passed_over(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,,\n1,2,,\n3,4,,\n")
    assert list(tables.columns(path, "truth.file", ["a", "b"])["b"]) == [2.0, 4.0]
    path.write_text("a,b,,\n1,2,,\n3,4,,5\n")
    with pytest.raises(InputError, match="column ''"):
        tables.columns(path, "truth.file", ["a", "b"])
