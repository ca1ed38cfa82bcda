"""The picture of an inversion by reduced models: what each correction found, and the descent."""

from __future__ import annotations

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advdiff.views.plots import canvas


def corrections(file: h5py.File) -> Figure:
    """Errors against the basis, the gradient against full evaluations.

    Args:
        file: a result with ``/reduced/state_error``.
    """
    figure = canvas.figure(4.2)
    left, right = figure.subplots(1, 2)
    errors(left, file["reduced"])
    descent(right, file)
    return figure


def errors(axes: Axes, group: h5py.Group) -> None:
    """Of the reduced models at the points they proposed: bound, true error, objective."""
    # the model that proposes is the one before the enrichment there
    sizes = group["size"][:][: len(group["state_error"])]
    lines = (
        ("bound", "bound of the state", {"color": canvas.MUTED, "linestyle": "--"}),
        ("state_error", "state", {"color": canvas.INK}),
        ("objective_error", "objective", {"color": canvas.ACCENT}),
    )
    steps = np.arange(1, len(sizes) + 1)
    for name, label, style in lines:
        if name in group:
            axes.plot(steps, group[name][:], marker="o", label=label, **style)
    axes.set(yscale="log", xlabel="correction, with r basis vectors", ylabel="relative error")
    if len(steps) <= 12:
        axes.set_xticks(steps, [f"{k}\nr = {size}" for k, size in zip(steps, sizes, strict=True)])
    axes.margins(x=0.15)
    axes.legend()


def descent(axes: Axes, file: h5py.File) -> None:
    """The full gradient at every accepted point, by reduced models and, where known, plainly."""
    history = file["history"]
    gradient = history["gradient_norm"][:]
    solves = history["solves"][:]
    axes.plot(
        solves, gradient / gradient[0], marker="o", color=canvas.INK, label="by reduced models"
    )
    group = file["reduced"]
    if "plain_gradient" in group:
        plain = group["plain_gradient"][:]
        axes.plot(
            group["plain_solves"][:],
            plain / plain[0],
            marker=".",
            color=canvas.ACCENT,
            label="full model alone",
        )
    axes.set(yscale="log", xlabel="full values with gradients", ylabel="gradient, relative")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
