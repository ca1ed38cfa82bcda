"""CSV files of the models: the row that a message names is the line of the file."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.core.errors import InputError
from advdiff.files import tables

pytestmark = pytest.mark.serial

TEXT = "\ufefffrom, to\n\n# a note\n0, 1\n2, {}\n"


def read(tmp_path, cell):
    path = tmp_path / "data.csv"
    path.write_text(TEXT.format(cell), encoding="utf-8")
    return path, tables.columns(path, "key", ("from", "to"))


def test_blank_lines_and_notes_are_passed_over(tmp_path):
    path, table = read(tmp_path, 3)
    assert table == {"from": pytest.approx([0, 2]), "to": pytest.approx([1, 3])}
    with pytest.raises(InputError, match="row 5: to = 3; write a whole number from 0 to 2"):
        tables.states(table, ("from", "to"), 3, path, "key")
    with pytest.raises(InputError, match="row 4: from = 0; give another"):
        tables.refuse(table, np.array([True, True]), path, "key", "from", "give another")


@pytest.mark.parametrize(
    ("cell", "words"),
    [("one", "row 5: to = 'one' is no finite number"), ("1,2", "row 5: 3 entries under 2")],
)
def test_the_row_is_named(tmp_path, cell, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, cell)
