"""Pictures drawn coarsely, where a test asks which there are and not how they look.

Everything in them is drawn, but once: to lay text out takes most of a picture's time, and
``tests/test_plots.py`` looks at pictures of every kind as users get them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from unittest import mock

from matplotlib.figure import Figure
from PIL import Image

from advdiff.plots import canvas

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
