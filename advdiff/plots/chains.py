"""Pictures of Markov chains: traces, posterior bands against the truth, how well the chains mix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advdiff.inverse.chains.diagnostics import autocovariance
from advdiff.plots import canvas

MOST = 4
"""Coefficients with a trace of their own: those with the fewest effective draws."""
POINTS = 500
COLORS = (canvas.INK, canvas.ACCENT, "#2a788e", canvas.MARK, "#8a5fbf", canvas.MUTED)
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.30))
"""Quantiles and how opaque the band between them is."""
LAGS = 60


def contents(file: h5py.File) -> dict[str, Callable[[], Figure]]:
    """The pictures of a result with chains, or of a comparison of samplers, by name."""
    if "samplers" in file:
        return {"samplers": partial(samplers, file)}
    if "posterior" not in file:
        return {}
    found = {"traces": partial(traces, file), "chains": partial(mixing, file)}
    if any(file[f"posterior/{name}"].ndim == 3 for name in file["posterior"]):
        found["posterior"] = partial(posterior, file)
    return found


def _shown(file: h5py.File) -> str:
    """The variable to show: one whose truth is known, a function of a coordinate before others."""
    names = list(file["posterior"])
    known = [name for name in names if name in file.get("truth", {})]
    curves = [name for name in known or names if _coordinates(file, name) is not None]
    return (curves or known or names)[0]


def _coordinates(file: h5py.File, name: str) -> np.ndarray | None:
    """Where the entries of a variable are, None where the axis is only an index."""
    draws = file[f"posterior/{name}"]
    if draws.ndim != 3:
        return None
    scale = draws.dims[2][0]
    return scale[:] if scale.dtype.kind == "f" else None


def traces(file: h5py.File) -> Figure:
    """Φ and the slowest coefficients against the draw, a colour a chain, and their densities."""
    name = next(iter(file["posterior"]))
    draws = file[f"posterior/{name}"]
    bulk = np.atleast_1d(file[f"diagnostics/{name}/ess_bulk"][()])
    slowest = np.argsort(bulk)[:MOST]
    rows = [("Φ", file["sample_stats/potential"][:])]
    for k in np.sort(slowest):
        rows.append((f"{name}[{k}]", draws[:, :, k] if draws.ndim == 3 else draws[:]))
    figure = canvas.figure(1.35 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), 2, width_ratios=(4, 1), squeeze=False, sharey="row")
    for (left, right), (title, values) in zip(grid, rows, strict=True):
        step = max(1, values.shape[1] // POINTS)
        for chain, trace in enumerate(values):
            color = COLORS[chain % len(COLORS)]
            x = np.arange(0, len(trace), step)
            left.plot(x, trace[::step], color=color, linewidth=0.5, alpha=0.8)
            height, edges = np.histogram(trace, bins=40, range=(values.min(), values.max()))
            right.stairs(height, edges, orientation="horizontal", color=color, linewidth=1.0)
        left.set_ylabel(title)
        right.set_xticks([])
        left.margins(x=0.01)
        if title.startswith(name):
            _line_of_truth(right, file, name, int(title[len(name) + 1 : -1]))
    grid[-1, 0].set_xlabel("draw")
    return figure


def _line_of_truth(axes: Axes, file: h5py.File, name: str, k: int) -> None:
    if name in file.get("truth", {}) and np.isfinite(file[f"truth/{name}"][k]):
        axes.axhline(
            file[f"truth/{name}"][k], color="black", linestyle=(0, (3, 1.5)), linewidth=1.2
        )


def posterior(file: h5py.File) -> Figure:
    """Mean, 50 % and 90 % bands of a variable, and the truth where it is known."""
    name = _shown(file)
    draws, where = file[f"posterior/{name}"], _coordinates(file, name)
    values = draws[:].reshape(-1, draws.shape[2])
    figure = canvas.figure(4.2)
    axes = figure.subplots()
    truth = file[f"truth/{name}"][:] if name in file.get("truth", {}) else None
    quantiles = [np.quantile(values, q, axis=0) for low, high, _ in BANDS for q in (low, high)]
    if where is None:
        where = np.arange(values.shape[1])
        for i, (*_, alpha) in enumerate(BANDS):
            low, high = quantiles[2 * i : 2 * i + 2]
            axes.bar(where, high - low, 0.6, low, color=canvas.INK, alpha=alpha, linewidth=0)
        axes.plot(where, values.mean(axis=0), "_", color=canvas.INK, markersize=9, label="mean")
        axes.set_xlabel(f"index of {draws.dims[2].label}")
        style = {"marker": "o", "linestyle": "none", "markersize": 4}
    else:
        for i, (*_, alpha) in enumerate(BANDS):
            low, high = quantiles[2 * i : 2 * i + 2]
            axes.fill_between(where, low, high, color=canvas.INK, alpha=alpha, linewidth=0)
        axes.plot(where, values.mean(axis=0), color=canvas.INK, label="mean")
        axes.set_xlabel("x")
        style = {"linestyle": (0, (3, 1.5))}
    if truth is not None:
        axes.plot(where, truth, color=canvas.ACCENT, label="truth", **style)
    if name == "rates":
        axes.set_yscale("log")
    axes.set_ylabel(canvas.label(draws))
    axes.set_title("posterior: mean, 50 % and 90 % of the draws")
    axes.legend()
    return figure


def mixing(file: h5py.File) -> Figure:
    """Effective draws of every coefficient, and the autocorrelation of Φ."""
    figure = canvas.figure(3.6)
    left, right = figure.subplots(1, 2)
    for color, name in zip(COLORS, file["posterior"], strict=False):
        group = file[f"diagnostics/{name}"]
        size = np.sort(np.atleast_1d(group["ess_bulk"][()]).ravel())
        share = (np.arange(len(size)) + 1) / len(size)
        left.step(size, share, color=color, where="post", label=f"{name}, bulk")
        tail = np.sort(np.atleast_1d(group["ess_tail"][()]).ravel())
        left.step(tail, share, color=color, where="post", linestyle=(0, (3, 1.5)))
    left.set(xscale="log", xlabel="effective draws (dashed: tail)", ylabel="share of coefficients")
    left.legend()
    potential = file["sample_stats/potential"][:]
    covariance = autocovariance(potential)[:, :LAGS]
    for color, line in zip(COLORS, covariance, strict=False):
        right.plot(line / line[0], color=color, linewidth=1.2)
    right.axhline(0.0, color=canvas.MUTED, linewidth=0.8)
    right.set(xlabel="lag", ylabel="autocorrelation of Φ")
    return figure


def samplers(file: h5py.File) -> Figure:
    """Effective draws a second against d, a line a sampler: least and median over the rates."""
    sizes, names = file["d"][:], list(file["sampler"].asstr())
    regimes = list(file["regime"].asstr())
    figure = canvas.figure(4.4)
    grid = figure.subplots(1, 2 * len(regimes), sharey=True, squeeze=False)[0]
    for r, regime in enumerate(regimes):
        for axes, column in zip(grid[2 * r :], ("ess_min", "ess_median"), strict=False):
            for color, k in zip(COLORS, range(len(names)), strict=True):
                values = file[f"samplers/{column}"][r, :, k]
                axes.plot(sizes, values, "o-", color=color, markersize=4, label=names[k])
            axes.set(xscale="log", yscale="log", xlabel="number of states d")
            axes.set_xticks(sizes, [str(d) for d in sizes])
            axes.minorticks_off()
            axes.grid(color=canvas.LAND, linewidth=0.6)
            axes.set_title(f"{regime} times, {column.removeprefix('ess_')}")
    grid[0].set_ylabel("effective draws a second")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
