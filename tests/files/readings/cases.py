"""What the tests of tables of readings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from advdiff.core.errors import InputError
from advdiff.files.readings import reader
from advdiff.files.readings.stated import Stated
from advdiff.files.readings.table import Table


def table(folder: Path, content: str | bytes, axes: str = "x", **stated) -> Table:
    """What a file of this content is read as."""
    path = folder / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return reader.read(path, Stated(**stated), axes)


def refusal(folder: Path, content: str | bytes, axes: str = "x", **stated) -> str:
    """The one line by which it is refused."""
    with pytest.raises(InputError) as caught:
        table(folder, content, axes, **stated)
    text = str(caught.value).replace(str(folder), "")
    assert "\n" not in text
    assert len(text) < 260
    assert text.startswith("observations.") or text.startswith("time.unit")
    return text
