"""Pictures of the studies of ``matexp``: errors of surrogates, spectra of random rate matrices."""

from __future__ import annotations

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from advdiff.matexp.rates.studies import predicted_moduli
from advdiff.views.plots import canvas

COLORS = {
    "first-order": canvas.INK,
    "midpoint": "#2a788e",
    "truncated": "#8a5fbf",
    "asymptotic": canvas.ACCENT,
    "kernel-exact": canvas.MARK,
}
LIMITS = {"absolute": (1e-19, 1e5), "relative": (1e-16, 1e6)}
BAND = 10, 90
"""Percent of the replicates between the edges of a band."""


def _words(scale: h5py.Dataset) -> list[str]:
    return list(scale.asstr())


def _grid(rows: int, columns: int, height: float, **share) -> tuple[Figure, np.ndarray]:
    figure = canvas.figure(height, width=max(4.5, min(canvas.WIDTH, 3.4 * columns)))
    return figure, figure.subplots(rows, columns, squeeze=False, **share)


def _log(axes: Axes, ticks: int = 5) -> None:
    axes.set(xscale="log", yscale="log")
    axes.grid(color=canvas.LAND, linewidth=0.6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=ticks))
        axis.set_minor_locator(NullLocator())


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, method: str, **options) -> None:
    # kernel-exact goes with first-order and then with asymptotic: a broad line below them
    below = method == "kernel-exact"
    style = {"linewidth": 3.6, "zorder": 1.5} if below else {"linewidth": 1.5}
    axes.plot(x, y, color=COLORS[method], solid_capstyle="round", **(style | options))


def _legend(figure: Figure, methods: list[str], extra: list[Line2D]) -> None:
    handles = [
        Line2D([], [], color=COLORS[m], linewidth=3.6 if m == "kernel-exact" else 1.5, label=m)
        for m in methods
    ]
    figure.legend(
        handles=[*handles, *extra], loc="outside upper center", ncols=len(handles) + len(extra)
    )


# -- surrogate-error ------------------------------------------------------------------------------


def surrogate_errors(file: h5py.File, kind: str) -> Figure:
    """Medians of the 2-norm errors and of the certificates against t; a row a law, a column a d.

    The certificates' medians are over the replicates that have one.
    """
    laws, methods, sizes = _words(file["law"]), _words(file["method"]), file["d"][:]
    figure, grid = _grid(len(laws), len(sizes), 2.0 * len(laws) + 0.9, sharex=True, sharey=True)
    for i, k in np.ndindex(grid.shape):
        _errors_against_t(grid[i, k], file, i, k, kind)
    for axes, d in zip(grid[0], sizes, strict=True):
        axes.set_title(f"d = {d}")
    for axes, law in zip(grid[:, 0], laws, strict=True):
        axes.set_ylabel(f"{law}\n{kind} error")
    for axes in grid[-1]:
        axes.set_xlabel("t")
    certificate = Line2D([], [], color=canvas.MUTED, linestyle=(0, (3, 1.5)), linewidth=1.2)
    certificate.set_label("certificate")
    _legend(figure, methods, [certificate])
    return figure


def _errors_against_t(axes: Axes, file: h5py.File, law: int, size: int, kind: str) -> None:
    times = file["time"][:]
    unit = 1.0
    if kind == "relative":
        unit = file["exact/spectral"][law, size][:, None]
    curves = (file[name][law, size] / unit for name in ("error/spectral", "certificate"))
    error, bound = (_median(values) for values in curves)
    for k, method in enumerate(_words(file["method"])):
        _line(axes, times, error[k], method)
        dashed = {"linestyle": (0, (3, 1.5)), "linewidth": 1.2, "zorder": 2.5}
        _line(axes, times, bound[k], method, **dashed)
    _log(axes)
    axes.set_ylim(*LIMITS[kind])


def _median(values: np.ndarray) -> np.ndarray:
    """Over the replicates (the first axis) that there are; nan where there is none, or 0."""
    there = ~np.isnan(values).all(axis=tuple(range(1, values.ndim)))
    if not there.any():
        return np.full(values.shape[1:], np.nan)
    median = np.median(values[there], axis=0)
    return np.where(median > 0, median, np.nan)


def errors_against_d(file: h5py.File) -> Figure:
    """Errors at the time nearest to 1 against d: medians, and where most replicates lie."""
    laws, methods, sizes = _words(file["law"]), _words(file["method"]), file["d"][:]
    times = file["time"][:]
    at = int(np.abs(times - 1.0).argmin())
    figure, grid = _grid(2, len(laws), 6.0, sharex=True, sharey="row")
    for column, law in zip(grid.T, range(len(laws)), strict=True):
        error = file["error/spectral"][law, :, :, :, at]
        relative = error / file["exact/spectral"][law, :, :, at][..., None]
        for axes, values, kind in zip(column, (error, relative), LIMITS, strict=True):
            for k, method in enumerate(methods):
                low, middle, high = np.nanpercentile(
                    values[:, :, k], (BAND[0], 50, BAND[1]), axis=1
                )
                _line(axes, sizes, middle, method, marker="o", markersize=4)
                axes.fill_between(sizes, low, high, color=COLORS[method], alpha=0.15, linewidth=0)
            _log(axes)
            axes.set_ylim(*LIMITS[kind])
            _mark(axes, sizes)
        column[0].set_title(laws[law])
        column[1].set_xlabel("d")
    for axes, kind in zip(grid[:, 0], LIMITS, strict=True):
        axes.set_ylabel(f"{kind} error at t = {times[at]:g}")
    _legend(figure, methods, [])
    return figure


def _mark(axes: Axes, sizes: np.ndarray) -> None:
    axes.set_xticks(sizes, [str(d) for d in sizes])


# -- random-rates ---------------------------------------------------------------------------------

MODULI = (("modulus_max", "$e_M$"), ("modulus_min", "$e_m$"), ("sigma_min", r"$\sigma_m$"))
BOUNDS = (
    ("eigen_bound", "by the eigenvectors (§ 3.1)", (0, (1, 1))),
    ("printed_bound", r"$1/\sigma_m$ as printed (§ 3.2)", (0, (4, 1.5))),
    ("mended_bound", r"$\|\Pi\|^3/\sigma_m$, mended", (0, (4, 1, 1, 1))),
)


def random_rates(file: h5py.File) -> Figure:
    """Eigenvalues and singular values, and the correction term with its bounds, against d."""
    laws, sizes = _words(file["law"]), file["d"][:]
    figure, grid = _grid(2, len(laws), 6.4, sharex=True, sharey="row")
    fine = np.geomspace(sizes[0], sizes[-1], 60)
    for column, (i, law) in zip(grid.T, enumerate(laws), strict=True):
        for (name, label), color in zip(MODULI, canvas.SERIES[::-1], strict=True):
            _band(column[0], sizes, file[f"rates/{name}"][i], color, label)
        for curve in predicted_moduli(law, fine):
            column[0].plot(fine, curve, color=canvas.INK, linestyle=":", linewidth=1.2)
        column[0].set_title(law)
        correction = file["rates/correction"][i]
        _band(column[1], sizes, correction, canvas.ACCENT, r"$\|Q^\# J (I - QQ^\#)\|_2$")
        for name, label, style in BOUNDS:
            median = np.nanmedian(file[f"rates/{name}"][i], axis=1)
            column[1].plot(sizes, median, color=canvas.INK, linestyle=style, label=label)
        guide = np.nanmedian(correction[0]) * (fine / sizes[0]) ** -1.5
        column[1].plot(fine, guide, color=canvas.MUTED, linewidth=0.9, label="$d^{-3/2}$")
        for axes in column:
            _log(axes)
        column[1].set_xlabel("d")
    grid[0, 0].plot([], [], color=canvas.INK, linestyle=":", label="predicted")
    grid[0, 0].set_ylabel("modulus")
    grid[1, 0].set_ylabel("2-norm")
    grid[0, 0].legend(loc="upper left")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _band(axes: Axes, sizes: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    """Medians over the replicates (the second axis), and where most of them lie."""
    low, middle, high = np.nanpercentile(values, (BAND[0], 50, BAND[1]), axis=1)
    axes.plot(sizes, middle, color=color, marker="o", markersize=4, linewidth=1.5, label=label)
    axes.fill_between(sizes, low, high, color=color, alpha=0.2, linewidth=0)
