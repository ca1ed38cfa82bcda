"""Charts on one axes each: data against prediction, residuals, convergence."""

from __future__ import annotations

from typing import NamedTuple

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from advdiff.views.plots import canvas

MOST = 20_000
"""No chart has more dots than this."""


class Readings(NamedTuple):
    """Measurements and what the estimate predicts for them.

    Attributes:
        times: of each reading.
        values, std, predicted: measured, standard deviation of its noise, predicted.
    """

    times: np.ndarray
    values: np.ndarray
    std: np.ndarray
    predicted: np.ndarray

    @classmethod
    def read(cls, group: h5py.Group) -> Readings:
        """From ``/observations``."""
        times = group["times"][:][group["time_index"][:]]
        return cls(times, *(group[name][:] for name in ("values", "std", "predicted")))

    @property
    def residuals(self) -> np.ndarray:
        """Measured minus predicted, in standard deviations."""
        return (self.values - self.predicted) / self.std

    def thinned(self) -> Readings:
        """Evenly chosen ones, where there are too many to draw."""
        step = -(-len(self.values) // MOST)
        return Readings(*(part[::step] for part in self))


def agreement(axes: Axes, readings: Readings) -> None:
    """Measured against predicted, with two standard deviations of the noise about equality."""
    few = readings.thinned()
    low = min(few.predicted.min(), few.values.min())
    high = max(few.predicted.max(), few.values.max())
    margin = 0.04 * (high - low) or 1.0
    line = np.array([low - margin, high + margin])
    std = readings.std
    if np.ptp(std) <= 1e-9 * std.max():
        axes.fill_between(
            line,
            line - 2 * std[0],
            line + 2 * std[0],
            color=canvas.ACCENT,
            alpha=0.25,
            linewidth=0,
            label="±2σ",
        )
    else:
        axes.errorbar(
            few.predicted,
            few.values,
            yerr=2 * few.std,
            linestyle="none",
            elinewidth=0.6,
            ecolor=canvas.ACCENT,
            alpha=0.5,
            label="±2σ",
            zorder=1,
        )
    axes.plot(line, line, color=canvas.ACCENT, linewidth=1.0, label="equal")
    axes.scatter(
        few.predicted,
        few.values,
        s=11,
        color=canvas.INK,
        alpha=0.55,
        linewidths=0,
        label="reading",
        zorder=2,
    )
    axes.set_xlim(*line)
    axes.set_ylim(*line)
    axes.set_box_aspect(1)
    axes.locator_params(nbins=6)
    axes.set_xlabel("predicted")
    axes.set_ylabel("measured")
    axes.set_title("data against prediction")
    axes.legend(loc="upper left")


def residuals(axes: Axes, readings: Readings) -> None:
    """Residuals in standard deviations over time, with the band of two of them."""
    few = readings.thinned()
    size = max(3.5, 1.1 * np.abs(readings.residuals).max())
    axes.axhspan(-2, 2, color=canvas.ACCENT, alpha=0.12, linewidth=0, label="±2σ")
    axes.axhline(0, color=canvas.ACCENT, linewidth=1.0)
    axes.scatter(few.times, few.residuals, s=11, color=canvas.INK, alpha=0.55, linewidths=0)
    axes.set_ylim(-size, size)
    axes.set_box_aspect(1)
    axes.set_xlabel("time")
    axes.set_ylabel("(measured − predicted) / σ")
    inside = 100 * np.mean(np.abs(readings.residuals) <= 2)
    axes.set_title(f"residuals: {inside:.0f} % within ±2σ")


def histogram(axes: Axes, readings: Readings) -> None:
    """How the residuals are distributed, against the standard normal density."""
    values = readings.residuals
    size = max(3.5, 1.1 * np.abs(values).max())
    bins = int(np.clip(np.sqrt(len(values)), 8, 40))
    axes.hist(
        values, bins=np.linspace(-size, size, bins + 1), density=True, color=canvas.MUTED, alpha=0.8
    )
    x = np.linspace(-size, size, 200)
    normal = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    axes.plot(x, normal, color=canvas.ACCENT, linewidth=1.4, label="normal(0, 1)")
    axes.set_xlim(-size, size)
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.set_box_aspect(1)
    axes.set_xlabel("(measured − predicted) / σ")
    axes.set_ylabel("density")
    axes.set_title(f"residuals: r.m.s. {np.sqrt(np.mean(values**2)):.3g} σ")
    axes.legend(loc="upper left")


def objective(axes: Axes, history: h5py.Group) -> None:
    """Objective and its two parts against the iteration."""
    _series(axes, history, ("objective", "misfit", "regularization"))
    axes.set_title("objective")
    axes.legend()


def gradient(axes: Axes, history: h5py.Group) -> None:
    """Norm of the gradient against the iteration."""
    _series(axes, history, ("gradient_norm",))
    axes.set_ylabel("norm")
    axes.set_title("gradient")


def convergence(axes: Axes, history: h5py.Group) -> None:
    """Objective, misfit and gradient norm, all in one."""
    _series(axes, history, ("objective", "misfit", "gradient_norm"))
    axes.set_title("convergence")
    axes.set_box_aspect(1)
    axes.legend()


def _series(axes: Axes, history: h5py.Group, names: tuple[str, ...]) -> None:
    iteration = history["iteration"][:]
    for name, color, line in zip(names, canvas.SERIES, ("-", "--", "-."), strict=False):
        values = history[name][:]
        axes.plot(
            iteration,
            np.where(values > 0, values, np.nan),
            color=color,
            linestyle=line,
            linewidth=1.5,
            marker="o" if len(iteration) < 12 else None,
            markersize=3,
            label=name.replace("_", " "),
        )
    axes.set_yscale("log")
    if len(iteration) == 1:
        axes.set_xlim(iteration[0] - 1, iteration[0] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration")
    axes.grid(True, color=canvas.LAND, linewidth=0.7)
    axes.set_axisbelow(True)
