"""Pictures drawn coarsely, where a test asks which there are and not how they look.

Everything in them is drawn, but once: to lay text out takes most of a picture's time, and
``tests/views/test_plots.py`` looks at pictures of every kind as users get them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from unittest import mock

import h5py
from matplotlib.figure import Figure
from PIL import Image

from advdiff.views import plots
from advdiff.views.plots import canvas

DPI = 40


def png(figure: Figure) -> tuple[bytes, tuple[int, int]]:
    """In place of ``canvas.png``."""
    buffer = BytesIO()
    figure.set_layout_engine("none")
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue(), Image.open(buffer).size


@contextmanager
def coarse() -> Iterator[None]:
    """Within the block pictures are drawn like that."""
    with mock.patch.object(canvas, "png", png):
        yield


def draw(result: Path, fine: Iterable[str], rough: Iterable[str]) -> None:
    """Some pictures of a result, beside it, as users get them, and some coarsely."""
    with h5py.File(result) as file, canvas.style():
        found = plots.contents(file)
        for name in fine:
            assert canvas.save(found[name](), result.with_name(f"{name}.png")).is_file()
        with coarse():
            for name in rough:
                assert canvas.save(found[name](), result.with_name(f"{name}.png")).is_file()
