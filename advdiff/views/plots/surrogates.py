"""The picture of a surrogate of ρ: ρ itself, the surrogate, and the error beneath its bound."""

from __future__ import annotations

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advdiff.views.plots import canvas
from advdiff.views.plots.pictures import Source

SHOWN = 4
"""Times at which fields are shown."""


def surrogate(source: Source, name: str) -> Figure:
    """Rows of ρ and its surrogate where a surface is given, above the norms against time.

    Args:
        source: a result with ``/surrogate/<name>/exact`` (``sensitivity.compare = true``).
    """
    file, group = source.file, source.file[f"surrogate/{name}"]
    if source.shape.dim != 2:
        figure = canvas.figure(4.2)
        norms(figure.subplots(), group, file["time"][:])
        return figure
    times = file["time"][:]
    chosen = np.unique(np.linspace(0, len(times) - 1, SHOWN).round().astype(int))
    width = (canvas.WIDTH - 1.2) / len(chosen)
    above = 2 * (width / source.shape.ratio + 0.3)
    figure = canvas.figure(above + 3.6)
    top, below = figure.subfigures(2, 1, height_ratios=(above, 3.6))
    grid = top.subplots(2, len(chosen), squeeze=False, sharex=True, sharey=True)
    rows = {"ρ": group["exact"], str(group.attrs["method"]): file[f"rho/{name}"]}
    for column, k in enumerate(chosen):
        fields = [dataset[int(k)] for dataset in rows.values()]
        # each time has a scale of its own: both grow and decay by orders of magnitude
        size = max(np.abs(field).max() for field in fields) or 1.0
        for axes, field in zip(grid[:, column], fields, strict=True):
            mappable = source.shape.colors(axes, field, canvas.DIVERGING, (-size, size))
            source.shape.frame(axes)
            axes.label_outer()
        grid[0, column].set_title(f"t = {times[k]:.3g}")
        bar = top.colorbar(mappable, ax=list(grid[:, column]), location="bottom", aspect=24)
        bar.outline.set_linewidth(0.6)
    for axes, label in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(label)
    norms(below.subplots(), group, times)
    return figure


def norms(axes: Axes, group: h5py.Group, times: np.ndarray) -> None:
    """‖ρ‖, the surrogate's norm and error, and the certificate, against time."""
    method = str(group.attrs["method"])
    axes.plot(times, group["exact_norm"][:], color=canvas.INK, label="norm of ρ")
    axes.plot(times, group["norm"][:], color="#2a788e", label=f"norm of {method}")
    axes.plot(times, group["error"][:], color=canvas.ACCENT, label=f"error of {method}")
    bound, reasons = group["bound"][:], list(group["reason"].asstr())
    axes.plot(times, bound, color=canvas.MUTED, linestyle="--", label="certificate")
    for k in range(1, len(times)):
        if reasons[k] != reasons[k - 1]:
            axes.axvline(np.sqrt(times[k - 1] * times[k]), color=canvas.LAND, zorder=0)
    starts = [0, *(k for k in range(1, len(times)) if reasons[k] != reasons[k - 1])]
    for k in starts:
        axes.annotate(
            reasons[k].replace(", ", ",\n"),
            (times[k], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(2, -3),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=canvas.MUTED,
        )
    axes.set(xscale="log", yscale="log", xlabel="t", ylabel="norm in L²")
    low, high = axes.get_ylim()
    axes.set_ylim(low, 10 * high)  # room for the words
    axes.grid(color=canvas.LAND, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
