"""The pictures themselves: each takes what it shows from a result and returns a figure."""

from __future__ import annotations

from functools import cached_property

import h5py
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, FigureBase

from advdiff.views.plots import canvas, panels, shapes
from advdiff.views.quantities import Quantity

SNAPSHOTS = 6


class Source:
    """A result file, as pictures need it.

    Args:
        file: open for reading.
    """

    def __init__(self, file: h5py.File):
        self.file = file

    @cached_property
    def shape(self) -> shapes.Line | shapes.Surface:
        """The mesh."""
        return shapes.shape(self.file["mesh/geometry"][:], self.file["mesh/topology"][:])

    @cached_property
    def readings(self) -> panels.Readings:
        """The measurements."""
        return panels.Readings.read(self.file["observations"])

    @property
    def sensors(self) -> np.ndarray | None:
        """Points of the sensors, where there are any."""
        return self.file["observations/points"][:] if "observations" in self.file else None

    def snapshots(self, name: str, initial: str | None = None):
        """Times and fields (snapshot, vertex): a few of ``name``, after ``initial`` if present."""
        times, fields = self.file["time"], self.file[name]
        first = initial is not None and initial in self.file
        most, count = SNAPSHOTS - first, len(times)
        if count <= most:
            chosen = range(count)
        else:
            # At equal steps where these leave enough; the last always among them.
            step = -(-count // most)
            chosen = range(count - 1, -1, -step)[::-1]
            if len(chosen) < most - 2:
                chosen = np.linspace(0, count - 1, most).round().astype(int)
        shown, values = [float(times[k]) for k in chosen], [fields[int(k)] for k in chosen]
        if first:
            shown, values = [0.0, *shown], [self.file[initial][:], *values]
        return np.array(shown), np.stack(values)


# -- fields over time -----------------------------------------------------------------------------


def tracer(source: Source) -> Figure:
    """Snapshots of the tracer on one colour scale."""
    start = "estimate/initial" if "estimate" in source.file else "initial"
    times, values = source.snapshots("theta", start)
    limits = _limits(values)
    return _snapshots(source, times, values, canvas.TRACER, limits, source.file["theta"])


def rho(source: Source, name: str) -> Figure:
    """Snapshots of the sensitivity in a direction, zero in the middle of the colour scale."""
    dataset = source.file[f"rho/{name}"]
    times, values = source.snapshots(f"rho/{name}")
    size = np.abs(values).max() or 1.0
    return _snapshots(source, times, values, canvas.DIVERGING, (-size, size), dataset)


def _snapshots(source: Source, times, values, cmap, limits, dataset) -> Figure:
    title = canvas.label(dataset)
    if source.shape.dim == 1:
        return _curves(source.shape, times, values, title)
    shape: shapes.Surface = source.shape
    rows, columns, height = canvas.arrange(len(times), shape.ratio)
    figure = canvas.figure(height, maps=True)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, time, field in zip(grid.flat, times, values, strict=False):
        mappable = shape.colors(axes, field, cmap, limits)
        shape.frame(axes)
        axes.set_title(f"t = {time:.4g}")
    canvas.label_outer(grid, len(times))
    bar = figure.colorbar(mappable, ax=list(grid.flat), label=title, pad=0.02, aspect=32)
    bar.outline.set_linewidth(0.6)
    return figure


def _curves(line: shapes.Line, times, values, title: str) -> Figure:
    """One curve a time, coloured by it."""
    figure = canvas.figure(5.0)
    axes = figure.subplots()
    scale = ScalarMappable(Normalize(0.0, times[-1] * 1.15), canvas.TRACER)
    for time, field in zip(times, values, strict=True):
        line.curve(axes, field, color=scale.to_rgba(time), linewidth=1.8, label=f"{time:.4g}")
    if values.min() < 0 < values.max():
        axes.axhline(0, color=canvas.MUTED, linewidth=0.8, zorder=0)
    line.frame(axes)
    axes.set_ylabel(title)
    figure.legend(title="time", loc="outside right upper")
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


# -- velocity, and what was recovered -------------------------------------------------------------


def velocity(source: Source) -> Figure:
    """The velocity: streamlines over speed, or a curve."""
    dataset = source.file["velocity"]
    field, title = dataset[:], canvas.label(dataset)
    if source.shape.dim == 1:
        figure = canvas.figure(4.5)
        axes = figure.subplots()
        source.shape.curve(axes, field, color=canvas.INK, linewidth=1.8)
        source.shape.frame(axes)
        axes.set_ylabel(title)
        return figure
    figure = canvas.figure(min(7.0, 9.0 / source.shape.ratio + 0.6), maps=True)
    axes = figure.subplots()
    _map(axes, source, field, _limits_of(field))
    axes.set_title(title)
    return figure


def shows_recovery(file: h5py.File, quantity: Quantity) -> bool:
    """Whether there is something to see: a flow, or a field that varies beside its truth."""
    paths = [f"{group}/{quantity.key}" for group in ("estimate", "truth")]
    if quantity.magnitude:
        return paths[0] in file
    return all(path in file for path in paths) and any(np.ptp(file[path][:]) > 0 for path in paths)


def recovery(source: Source, name: str) -> Figure:
    """What was estimated: the truth, the estimate and their difference, as far as known."""
    figure = canvas.figure(_recovery_height(source, name), maps=source.shape.dim > 1)
    _recovery(figure, source, name)
    return figure


def _recovery_layout(source: Source, name: str) -> tuple[int, int]:
    """Rows and columns of maps: one, three in a row, or two by two where they are wide."""
    if f"truth/{name}" not in source.file:
        return 1, 1
    return (1, 3) if source.shape.ratio < 1.5 or "theta" not in source.file else (2, 2)


def _recovery_height(source: Source, name: str) -> float:
    if source.shape.dim == 1:
        return 6.0 if f"truth/{name}" in source.file else 4.0
    rows, columns = _recovery_layout(source, name)
    width = (canvas.WIDTH - 0.4 - 0.75 * columns) / columns
    return min(rows * (width / source.shape.ratio + 0.55) + 0.3, 5.5 if columns == 1 else 9.0)


def _recovery(figure: FigureBase, source: Source, name: str) -> None:
    estimate = source.file[f"estimate/{name}"][:]
    truth = source.file[f"truth/{name}"][:] if f"truth/{name}" in source.file else None
    if source.shape.dim == 1:
        return _recovery_curves(figure, source, name, estimate, truth)
    grid = figure.subplots(*_recovery_layout(source, name), sharex=True, sharey=True, squeeze=False)
    panes = list(grid.flat)
    fields = (
        [("estimated", estimate)] if truth is None else [("true", truth), ("estimated", estimate)]
    )
    limits = _limits_of(*(field for _, field in fields))
    for axes, (title, field) in zip(panes, fields, strict=False):
        _map(axes, source, field, limits, bar=field is estimate)
        axes.set_title(f"{title} {name}")
        if source.sensors is not None:
            source.shape.sensors(axes, source.sensors)
    if source.sensors is not None:
        panes[0].set_title(f"{fields[0][0]} {name} and sensors")
    if truth is not None:
        _difference(panes[2], source, estimate - truth, _error(source, name))
    if len(panes) == 4:
        theta, time = source.file["theta"][-1], float(source.file["time"][-1])
        _map(panes[3], source, theta, _limits(theta), label="tracer")
        panes[3].set_title(f"tracer at t = {time:.4g}")
    canvas.label_outer(grid, len(panes))


def _map(axes, source: Source, field: np.ndarray, limits, *, bar: bool = True, label: str = ""):
    """A scalar in colours, or streamlines over the speed of a vector."""
    shape: shapes.Surface = source.shape
    if field.ndim == 2:
        mappable = shape.colors(axes, _speed(field), canvas.SPEED, limits)
        shape.streamlines(axes, field)
        label = "speed"
    else:
        mappable = shape.colors(axes, field, canvas.TRACER, limits)
    shape.frame(axes)
    if bar:
        canvas.bar(axes, mappable, label)


def _difference(axes, source: Source, difference: np.ndarray, error: str) -> None:
    shape: shapes.Surface = source.shape
    if difference.ndim == 2:
        size = _speed(difference)
        mappable = shape.colors(axes, size, canvas.ERROR, (0.0, size.max() or 1.0))
    else:
        size = np.abs(difference).max() or 1.0
        mappable = shape.colors(axes, difference, canvas.DIVERGING, (-size, size))
    shape.frame(axes)
    axes.set_title(f"difference{error}")
    canvas.bar(axes, mappable, "|difference|" if difference.ndim == 2 else "difference")


def _recovery_curves(figure, source: Source, name: str, estimate, truth) -> None:
    line: shapes.Line = source.shape
    rows = 1 if truth is None else 2
    panes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    if truth is not None:
        line.curve(panes[0], truth, color=canvas.INK, linewidth=2.4, label="true")
        line.curve(panes[1], estimate - truth, color=canvas.INK, linewidth=1.6)
        panes[1].set_title(f"difference{_error(source, name)}")
        panes[1].set_ylabel("estimated − true")
    line.curve(
        panes[0], estimate, color=canvas.ACCENT, linewidth=1.6, linestyle="--", label="estimated"
    )
    panes[0].set_ylabel(name)
    panes[0].legend()
    for axes in panes:
        line.frame(axes)
        axes.label_outer()
    if source.sensors is not None:
        line.sensors(panes[0], source.sensors)


def _speed(field: np.ndarray) -> np.ndarray:
    return np.linalg.norm(field, axis=1)


def _limits_of(*fields: np.ndarray) -> tuple[float, float]:
    """One colour scale for scalars, or for the speeds of vectors."""
    if fields[0].ndim == 1:
        return _limits(np.stack(fields))
    return 0.0, max(float(_speed(field).max()) for field in fields) or 1.0


def _error(source: Source, name: str) -> str:
    attributes = source.file["estimate"].attrs
    error = attributes.get(f"{name}_relative_error")
    first = attributes.get(f"{name}_first_guess_error")
    if error is None:
        return ""
    guess = "" if first is None else f" (first guess {100 * first:.2g} %)"
    return f": relative error {100 * error:.2g} %{guess}"


# -- inversion: data, convergence, all together ---------------------------------------------------


def data(source: Source) -> Figure:
    """Data against prediction, and the residuals."""
    figure = canvas.figure(3.6, 10.5)
    axes = figure.subplots(1, 3)
    panels.agreement(axes[0], source.readings)
    panels.residuals(axes[1], source.readings)
    panels.histogram(axes[2], source.readings)
    return figure


def history(source: Source) -> Figure:
    """How the optimiser came down."""
    figure = canvas.figure(4.2)
    axes = figure.subplots(1, 2)
    panels.objective(axes[0], source.file["history"])
    panels.gradient(axes[1], source.file["history"])
    return figure


def overview(source: Source) -> Figure:
    """The whole inversion at a glance: recovered velocity, data, convergence."""
    top = _recovery_height(source, "velocity")
    figure = canvas.figure(top + 3.5)
    upper, lower = figure.subfigures(2, 1, height_ratios=[top, 3.5])
    _recovery(upper, source, "velocity")
    axes = lower.subplots(1, 3)
    panels.agreement(axes[0], source.readings)
    panels.histogram(axes[1], source.readings)
    panels.convergence(axes[2], source.file["history"])
    return figure
