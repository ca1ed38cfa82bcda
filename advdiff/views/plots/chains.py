"""Pictures of Markov chains: traces, posterior bands against the truth, how well the chains mix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import h5py
import numpy as np
from matplotlib.figure import Figure

from advdiff.views.plots import canvas, shapes
from advdiff.views.quantities import Quantity, quantities

MOST = 4
"""Coefficients with a trace of their own: those with the fewest effective draws."""
POINTS = 500
COLORS = (canvas.INK, canvas.ACCENT, "#2a788e", canvas.MARK, "#8a5fbf", canvas.MUTED)
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.30))
"""Quantiles and how opaque the band between them is."""
LAGS = 60
POOR = 1.2
"""An R̂ above which an effective sample size is an order of magnitude at best."""


def contents(file: h5py.File) -> dict[str, Callable[[], Figure]]:
    """The pictures of a result with chains, or of a comparison of samplers, by name."""
    if "samplers" in file:
        return {"samplers": partial(samplers, file)}
    if "posterior" not in file:
        return {}
    found = {"traces": partial(traces, file), "chains": partial(mixing, file)}
    if any(file[f"posterior/{name}"].ndim == 3 for name in file["posterior"]):
        found["posterior"] = partial(posterior, file)
    if "constant_data/wave" in file:
        found["spectrum"] = partial(spectrum, file)
    if "fields" in file and file["mesh/geometry"].shape[1] > 1:
        for quantity in quantities(file):
            if f"estimate/{quantity.shown}_std" in file:
                found[quantity.shown] = partial(spread, file, quantity)
        if "estimate/velocity_05" in file:
            found["sections"] = partial(sections, file)
    return found


def _shown(file: h5py.File) -> str:
    """The variable to show: one whose truth is known, a function of a coordinate before others."""
    names = list(file["posterior"])
    names = [n for n in names if np.prod(file[f"posterior/{n}"].shape[2:]) > 1] or names
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
    rows, truths = [("Φ", file["sample_stats/potential"][:])], {}
    names = list(file["posterior"])
    several = [name for name in names if np.prod(file[f"posterior/{name}"].shape[2:]) > 1]
    for name in several[:1] + [name for name in names if name not in several]:
        draws = file[f"posterior/{name}"]
        bulk = np.atleast_1d(file[f"diagnostics/{name}/ess_bulk"][()])
        for k in np.sort(np.argsort(bulk)[:MOST]):
            title = f"{name}[{k}]"
            rows.append((title, draws[:, :, k] if draws.ndim == 3 else draws[:]))
            if name in file.get("truth", {}):
                truths[title] = file[f"truth/{name}"][k]
    figure = canvas.figure(1.35 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), 2, width_ratios=(4, 1), squeeze=False, sharey="row")
    for (left, right), (title, values) in zip(grid, rows, strict=True):
        step = max(1, values.shape[1] // POINTS)
        for chain, trace in enumerate(values):
            color = COLORS[chain % len(COLORS)]
            x = np.arange(0, len(trace), step)
            left.plot(x, trace[::step], color=color, linewidth=0.5, alpha=0.8)
            bins = int(np.clip(len(trace) // 10, 12, 40))
            height, edges = np.histogram(trace, bins, range=(values.min(), values.max()))
            right.stairs(height, edges, orientation="horizontal", color=color, linewidth=1.0)
        left.set_ylabel(title.replace("_", "\n"), fontsize=8.5)
        right.set_xticks([])
        left.margins(x=0.01)
        if np.isfinite(truths.get(title, np.nan)):
            style = {"color": "black", "linestyle": (0, (3, 1.5)), "linewidth": 1.2}
            right.axhline(truths[title], **style)
    grid[-1, 0].set_xlabel("draw")
    return figure


def posterior(file: h5py.File) -> Figure:
    """Mean, 50 % and 90 % bands of a variable, and the truth where it is known."""
    name = _shown(file)
    draws, where = file[f"posterior/{name}"], _coordinates(file, name)
    values = draws[:].reshape(-1, draws.shape[2])
    figure = canvas.figure(4.2)
    axes = figure.subplots()
    axes.use_sticky_edges = False
    truth = file[f"truth/{name}"][:] if name in file.get("truth", {}) else None
    quantiles = [np.quantile(values, q, axis=0) for low, high, _ in BANDS for q in (low, high)]
    if where is None:
        where = np.arange(values.shape[1])
        for i, (*_, alpha) in enumerate(BANDS):
            low, high = quantiles[2 * i : 2 * i + 2]
            axes.bar(where, high - low, 0.6, low, color=canvas.INK, alpha=alpha, linewidth=0)
        size = min(9.0, 400.0 / len(where))
        axes.plot(where, values.mean(axis=0), "_", color=canvas.INK, markersize=size, label="mean")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(f"index of {draws.dims[2].label.removesuffix('_index')}")
        style = {"marker": "o", "linestyle": "none", "markersize": min(4.0, size)}
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
        for kind, line, label in (("bulk", "-", name), ("tail", (0, (3, 1.5)), None)):
            size = np.sort(np.atleast_1d(group[f"ess_{kind}"][()]).ravel())
            share = np.arange(len(size) + 1) / len(size)
            size = np.insert(size, 0, size[0])
            left.step(size, share, color=color, where="post", linestyle=line, label=label)
    left.set(xlabel="effective draws (bulk; dashed: tail)", ylabel="share of coefficients")
    least, most = left.dataLim.intervalx
    if most > 20.0 * least > 0.0:
        left.set_xscale("log")
    else:
        left.set_xlim(0.0, None)
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    potential = file["sample_stats/potential"][:]
    from advdiff.chains.diagnostics import autocovariance

    covariance = autocovariance(potential)[:, :LAGS]
    for color, line in zip(COLORS, covariance, strict=False):
        right.plot(line / (line[0] or 1.0), color=color, linewidth=1.2)
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
                axes.plot(sizes, values, "o-", color=color, markersize=4.5, label=names[k])
                poor = file["samplers/rhat"][r, :, k] > POOR
                axes.plot(
                    sizes[poor],
                    values[poor],
                    "o",
                    markersize=4.5,
                    markerfacecolor="white",
                    markeredgecolor=color,
                )
            axes.set(xscale="log", yscale="log", xlabel="number of states d")
            axes.set_xticks(sizes, [str(d) for d in sizes])
            axes.minorticks_off()
            axes.grid(color=canvas.LAND, linewidth=0.6)
            axes.set_title(f"{regime} times, {column.removeprefix('ess_')}")
    grid[0].set_ylabel("effective draws a second")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        title=f"hollow: R̂ > {POOR:g}",
        title_fontsize=9,
    )
    return figure


# -- flows ----------------------------------------------------------------------------------------


def _shape(file: h5py.File) -> shapes.Surface:
    return shapes.shape(file["mesh/geometry"][:], file["mesh/topology"][:])


def spread(file: h5py.File, quantity: Quantity) -> Figure:
    """Mean and standard deviation of a field, beside the true one where it is known."""
    shape, title = _shape(file), quantity.magnitude or quantity.title
    panes = [(f"posterior mean of the {title}", *_field(file, "estimate", quantity))]
    if f"truth/{quantity.key}" in file:
        panes.insert(0, (f"true {title}", *_field(file, "truth", quantity)))
    low = min(values.min() for _, values, _ in panes)
    top = max(values.max() for _, values, _ in panes)
    panes.append(("its standard deviation", file[f"estimate/{quantity.shown}_std"][:], None))
    width = (canvas.WIDTH - 0.4 - 0.75 * len(panes)) / len(panes)
    figure = canvas.figure(min(width / shape.ratio + 0.85, 9.0), maps=True)
    grid = figure.subplots(1, len(panes), sharex=True, sharey=True)
    for axes, (title, values, flow) in zip(grid, panes, strict=True):
        limits, cmap = (0.0 if quantity.magnitude else low, top), canvas.TRACER
        if axes is grid[-1]:
            limits, cmap = (values.min(), values.max()), canvas.ERROR
        elif quantity.magnitude:
            cmap = canvas.SPEED
        if not limits[1] > limits[0]:
            limits = limits[0], limits[0] + 1.0
        mappable = shape.colors(axes, values, cmap, limits)
        if flow is not None:
            shape.streamlines(axes, flow)
        shape.frame(axes)
        axes.set_title(title, fontsize=9.5)
        axes.label_outer()
        canvas.bar(axes, mappable, "")
    return figure


def _field(file: h5py.File, group: str, quantity: Quantity) -> tuple[np.ndarray, np.ndarray | None]:
    """A scalar, and the flow whose streamlines belong to it."""
    values = file[f"{group}/{quantity.key}"][:]
    if not quantity.magnitude:
        return values, None
    path = f"{group}/{quantity.magnitude}"
    return file[path][:] if path in file else np.linalg.norm(values, axis=1), values


def sections(file: h5py.File) -> Figure:
    """The flow across both middle lines of the domain: mean, 50 % and 90 % bands, truth."""
    shape = _shape(file)
    middle = 0.5 * (shape.lower + shape.upper)
    figure = canvas.figure(4.0)
    for axis, axes in enumerate(figure.subplots(1, 2)):
        # the component ``axis`` along the other direction
        along = 1 - axis
        t = np.linspace(shape.lower[along], shape.upper[along], POINTS)[1:-1]
        x, y = (t, middle[1:2]) if along == 0 else (middle[:1], t)

        def line(path, axis=axis, x=x, y=y):
            values = shape.at(file[path][:])[:, axis]
            return shape.sampled(values, x, y).ravel()

        for low, high, alpha in BANDS:
            ends = (line(f"estimate/velocity_{round(100 * q):02d}") for q in (low, high))
            axes.fill_between(t, *ends, color=canvas.INK, alpha=alpha, linewidth=0)
        axes.plot(t, line("estimate/velocity"), color=canvas.INK, label="mean")
        if "truth/velocity" in file:
            style = {"color": canvas.ACCENT, "linestyle": (0, (3, 1.5))}
            axes.plot(t, line("truth/velocity"), label="truth", **style)
        axes.set(xlabel="xy"[along], ylabel=f"velocity along {'xy'[axis]}", xlim=(t[0], t[-1]))
        axes.set_title(f"at {'xy'[axis]} = {middle[axis]:.4g}: 50 % and 90 % of the draws")
        axes.legend()
    return figure


def spectrum(file: h5py.File) -> Figure:
    """Energy of the modes by wave number, prior and posterior; how much the data have told."""
    size = np.linalg.norm(file["constant_data/wave"][:], axis=1)
    prior = file["constant_data/prior_std"][:]
    draws = file["posterior/velocity_coefficients"]
    values = draws[:].reshape(-1, draws.shape[2])
    shell = np.rint(size).astype(int)
    shells = np.unique(shell)
    member = (shell[:, None] == shells).astype(float)
    energy = 0.5 * values**2 @ member
    figure = canvas.figure(4.0)
    left, right = figure.subplots(1, 2)
    for low, high, alpha in BANDS:
        ends = np.quantile(energy, (low, high), axis=0)
        left.bar(shells, ends[1] - ends[0], 0.6, ends[0], color=canvas.INK, alpha=alpha)
    left.plot(
        shells, np.median(energy, axis=0), "_", color=canvas.INK, markersize=12, label="median"
    )
    expected = 0.5 * prior**2 @ member
    left.plot(
        shells, expected, "o-", color=canvas.MUTED, markersize=3, label="expected by the prior"
    )
    if "truth/velocity_coefficients" in file:
        true = 0.5 * file["truth/velocity_coefficients"][:] ** 2 @ member
        seen = true > 1e-6 * true.max()
        left.plot(shells[seen], true[seen], "D", color=canvas.ACCENT, markersize=5, label="truth")
    left.set(yscale="log", xlabel="wave number |k|", ylabel="energy of the modes")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set_title("energy by wave number: 50 % and 90 % of the draws")
    left.legend()
    right.plot(size, values.std(axis=0) / prior, "o", color=canvas.INK, markersize=4, alpha=0.7)
    right.axhline(1.0, color=canvas.MUTED, linewidth=0.8)
    right.set(xlabel="wave number |k|", ylabel="posterior over prior standard deviation")
    right.set_ylim(0.0, None)
    right.set_title("what the data have told")
    return figure
