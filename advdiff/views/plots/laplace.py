"""Pictures of a Laplace approximation: eigenvalues, standard deviations, samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from advdiff.views.plots import canvas, shapes
from advdiff.views.plots.pictures import Source
from advdiff.views.quantities import Quantity, quantities

SHOWN = 3
"""Samples beside the estimate."""


def contents(source: Source) -> dict[str, Callable[[], Figure]]:
    """The pictures of an inversion with [laplace], by name."""
    file = source.file
    if "laplace" not in file:
        return {}
    found = {}
    if "laplace/eigenvalues" in file:
        found["eigenvalues"] = partial(eigenvalues, source)
    for quantity in quantities(file):
        path = f"laplace/{quantity.shown}_std"
        if path in file and np.ptp(file[path][:]) > 0:
            found[f"{quantity.shown}_std"] = partial(spread, source, quantity)
    if "laplace/samples" in file and source.shape.dim > 1:
        found["samples"] = partial(samples, source)
    return found


def eigenvalues(source: Source) -> Figure:
    """How many directions the data see: eigenvalues against their number, and the threshold."""
    dataset, group = source.file["laplace/eigenvalues"], source.file["laplace"]
    figure = canvas.figure(4.0)
    axes = figure.subplots()
    number = np.arange(1, len(dataset) + 1)
    axes.plot(number, dataset[:], "o-", color=canvas.INK, markersize=3.5, linewidth=1.0)
    for level, color, title in (
        (1.0, canvas.MUTED, "data and prior weigh the same"),
        (float(group.attrs["threshold"]), canvas.ACCENT, "threshold"),
    ):
        axes.axhline(level, color=color, linestyle=(0, (3, 1.5)), linewidth=1.2, label=title)
    axes.set(yscale="log", xlabel="direction", ylabel="eigenvalue")
    axes.set_title("Hessian of the data in units of the prior's")
    axes.grid(True, color=canvas.LAND, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend()
    return figure


def spread(source: Source, quantity: Quantity) -> Figure:
    """Prior and posterior standard deviation, and the error where the truth is known."""
    file, name = source.file, quantity.shown
    fields = [
        ("prior standard deviation", file[f"laplace/prior_{name}_std"][:]),
        ("posterior standard deviation", file[f"laplace/{name}_std"][:]),
    ]
    if f"truth/{quantity.key}" in file:
        pair = [file[f"{group}/{quantity.key}"][:] for group in ("truth", "estimate")]
        true, estimate = (np.linalg.norm(v, axis=1) if v.ndim == 2 else v for v in pair)
        fields.append(("|estimate − truth|", np.abs(estimate - true)))
    if source.shape.dim == 1:
        return _curves(source.shape, fields, name)
    wide = source.shape.ratio >= 1.5
    rows, columns = (2, 2) if wide and len(fields) == 3 else (1, len(fields))
    width = (canvas.WIDTH - 0.4 - 0.75 * columns) / columns
    figure = canvas.figure(min(9.0, rows * (width / source.shape.ratio + 0.55) + 0.3), maps=True)
    panes = list(figure.subplots(rows, columns, squeeze=False).flat)
    top = max(float(field.max()) for _, field in fields[1:]) or 1.0
    for i, (axes, (title, field)) in enumerate(zip(panes, fields, strict=False)):
        limits = (0.0, float(field.max()) or 1.0) if i == 0 else (0.0, top)
        mappable = source.shape.colors(axes, field, canvas.ERROR, limits)
        source.shape.frame(axes)
        axes.set_title(f"{name}: {title}")
        canvas.bar(axes, mappable, name)
        if i and source.sensors is not None:
            source.shape.sensors(axes, source.sensors)
    for axes in panes[len(fields) :]:
        axes.set_axis_off()
    return figure


def _curves(line: shapes.Line, fields: list[tuple[str, np.ndarray]], name: str) -> Figure:
    figure = canvas.figure(4.0)
    axes = figure.subplots()
    for color, (title, field) in zip(canvas.SERIES, fields, strict=False):
        line.curve(axes, field, color=color, linewidth=1.6, label=title)
    line.frame(axes)
    axes.set_ylabel(name)
    axes.legend()
    return figure


def samples(source: Source) -> Figure:
    """The estimate and samples of the velocity, on one scale."""
    file = source.file
    names = sorted(file["laplace/samples"], key=int)[:SHOWN]
    fields = [("estimate", file["estimate/velocity"][:])]
    fields += [(f"sample {name}", file[f"laplace/samples/{name}"][:]) for name in names]
    top = max(float(np.linalg.norm(field, axis=1).max()) for _, field in fields) or 1.0
    rows, columns, height = canvas.arrange(len(fields), source.shape.ratio)
    figure = canvas.figure(height, maps=True)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (title, field) in zip(grid.flat, fields, strict=False):
        size = np.linalg.norm(field, axis=1)
        mappable = source.shape.colors(axes, size, canvas.SPEED, (0.0, top))
        source.shape.streamlines(axes, field)
        source.shape.frame(axes)
        axes.set_title(title)
    canvas.label_outer(grid, len(fields))
    bar = figure.colorbar(mappable, ax=list(grid.flat), label="speed", pad=0.02, aspect=32)
    bar.outline.set_linewidth(0.6)
    return figure
