"""What all pictures share: sizes, fonts, colours, colour bars, and saving without half a file."""

from __future__ import annotations

import os
import re
import warnings
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import h5py
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

DPI = 150
WIDTH = 10.0
"""Inches; times ``DPI`` gives 1500 pixels."""

TRACER = "viridis"
DIVERGING = "RdBu_r"
ERROR = "magma"
INK, ACCENT, MUTED, LAND, MARK = "#22303c", "#c2410c", "#7b8a97", "#e6e4df", "#ffb454"
SERIES = ("#22303c", "#c2410c", "#2a788e")

STYLE = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "axes.linewidth": 0.8,
    "axes.formatter.use_mathtext": True,
    "axes.formatter.limits": (-3, 4),
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
}


def _speed() -> LinearSegmentedColormap:
    """Viridis without its brightest fifth, so that white streamlines stand out everywhere."""
    colors = matplotlib.colormaps[TRACER](np.linspace(0.0, 0.8, 256))
    return LinearSegmentedColormap.from_list("speed", colors)


SPEED = _speed()


@contextmanager
def style():
    """Within the block figures look like ours."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty logarithmic axis says it itself
        yield


def figure(height: float, width: float = WIDTH, *, maps: bool = False) -> Figure:
    """An empty figure of so many inches; ``maps`` moves panels of a fixed shape together."""
    return Figure(figsize=(width, height), dpi=DPI, layout="compressed" if maps else "constrained")


def arrange(count: int, ratio: float) -> tuple[int, int, float]:
    """Rows and columns for ``count`` small multiples, and the height of the figure around them.

    Args:
        count: how many.
        ratio: width over height of one.
    """

    def size(columns: int) -> tuple[int, int, float]:
        rows = -(-count // columns)
        return rows, columns, rows * ((WIDTH - 1.2) / columns / ratio + 0.35) + 0.4

    def cost(layout: tuple[int, int, float]) -> float:
        rows, columns, height = layout
        return abs(np.log(height / (0.62 * WIDTH))) + 0.4 * (rows * columns - count)

    rows, columns, height = min((size(n) for n in range(1, count + 1)), key=cost)
    return rows, columns, min(height, WIDTH)


def label_outer(grid: np.ndarray, count: int) -> None:
    """Labels at the left of each row and below each column, where the last panels are empty."""
    columns = grid.shape[1]
    for k, axes in enumerate(grid.flat):
        below = axes.get_xlabel()
        axes.label_outer()
        if k >= count:
            axes.set_visible(False)
        elif k + columns >= count:
            axes.set_xlabel(below)
            axes.tick_params(labelbottom=True)


def bar(axes: Axes, mappable, label: str) -> None:
    """A colour bar as high as its axes, on their right."""
    width, height = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
    thick = 0.03 if axes.get_aspect() == "auto" else 0.05 * min(1.0, height / width)
    inset = axes.inset_axes((1 + 0.6 * thick, 0.0, thick, 1.0))
    axes.figure.colorbar(mappable, cax=inset, label=label).outline.set_linewidth(0.6)


def label(dataset: h5py.Dataset) -> str:
    """A dataset's long name, with its unit where it has one."""
    title = str(dataset.attrs.get("long_name", dataset.name.rsplit("/", 1)[-1]))
    unit = str(dataset.attrs.get("units", "1"))
    return title if unit in ("1", "") else f"{title} ({unit})"


def file_name(name: str) -> str:
    """``name`` with nothing in it that a file system minds."""
    return re.sub(r"[^\w.-]+", "_", name)


def png(figure: Figure) -> tuple[bytes, tuple[int, int]]:
    """A figure as PNG, and how many pixels wide and high it is.

    The lowest two bits of each colour are set: nobody sees it, and the file is a third smaller.
    """
    buffer, compact = BytesIO(), BytesIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once; saving would do so twice more
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.1)
    image = Image.open(buffer).convert("RGB").point(lambda value: value | 3)
    image.save(compact, format="PNG", optimize=True, dpi=(DPI, DPI))
    return compact.getvalue(), image.size


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG under a temporary name, then move it into place."""
    temporary = path.with_name(f".{path.name}.partial")
    data, _ = png(figure)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
