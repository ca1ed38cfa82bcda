"""What of the domain a sensor sees: a point, a segment, a ball, as points with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from mpi4py import MPI

from advdiff.domain.locate import Cells

SAME = 1e-12
"""Of a segment: breaks closer than this are one."""


@dataclass(frozen=True)
class Shapes:
    """Of every sensor, the same on every rank; None where no sensor has such an entry.

    Attributes:
        points: the place, the first end of a segment or the centre of a ball, shape (sensor, dim).
        ends: the other end of a segment, NaN where there is none, shape (sensor, dim).
        radius: of a ball (a disc, an interval), NaN where there is none, shape (sensor,).
        part: of the boundary, over which the mean weighted by the outflow is taken, "" where there
            is none, shape (sensor,); its point is NaN.
        flux: whether the flux concentration is read, shape (sensor,).
        names: of the sensors, "" where there is none, shape (sensor,).

    Lengths are in the unit of the mesh.

    >>> shapes = Shapes(np.array([[0.0], [0.5]]), ends=np.array([[1.0], [np.nan]]))
    >>> shapes.centres.tolist(), shapes.describe(0)
    ([[0.5], [0.5]], 'the segment from (0) to (1)')
    """

    points: np.ndarray
    ends: np.ndarray | None = None
    radius: np.ndarray | None = None
    part: np.ndarray | None = None
    flux: np.ndarray | None = None
    names: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.points)

    def distinct(self) -> tuple[Shapes, np.ndarray, np.ndarray]:
        """Each shape once, in the order of the points, where it first occurs, and which of them
        every one was, shape (len,)."""
        columns = [np.asarray(self.points, dtype=float)]
        for field in fields(self)[1:]:
            values = getattr(self, field.name)
            if values is None:
                continue
            if values.dtype.kind not in "fb":
                values = np.unique(values, return_inverse=True)[1]
            values = np.asarray(values, dtype=float).reshape(len(self), -1)
            columns += [np.isnan(values).astype(float), np.nan_to_num(values)]
        columns.insert(1, np.isnan(columns[0]).astype(float))
        columns[0] = np.nan_to_num(columns[0])
        rows = np.column_stack(columns)
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        return self[first], first, which.ravel()

    def __getitem__(self, which) -> Shapes:
        values = [getattr(self, field.name) for field in fields(self)]
        return Shapes(*(None if v is None else np.asarray(v)[which] for v in values))

    def _has(self, values: np.ndarray | None) -> np.ndarray:
        if values is None:
            return np.zeros(len(self), dtype=bool)
        return ~np.isnan(values.reshape(len(self), -1)).any(axis=1)

    @property
    def segments(self) -> np.ndarray:
        """Which are segments; in one dimension, balls are too.  Shape (sensor,)."""
        return self._has(self.ends) | (self._has(self.radius) & (self.points.shape[1] == 1))

    @property
    def balls(self) -> np.ndarray:
        """Which are discs or balls, shape (sensor,)."""
        return self._has(self.radius) & (self.points.shape[1] > 1)

    @property
    def parts(self) -> np.ndarray:
        """Which are boundary parts, shape (sensor,)."""
        return np.zeros(len(self), bool) if self.part is None else self.part != ""

    @property
    def fluxes(self) -> np.ndarray:
        """Which read a flux concentration, shape (sensor,)."""
        return np.zeros(len(self), bool) if self.flux is None else self.flux

    @property
    def centres(self) -> np.ndarray:
        """Where to draw them, shape (sensor, dim)."""
        whole = self._has(self.ends)
        centres = np.array(self.points, dtype=float)
        if whole.any():
            centres[whole] += 0.5 * (self.ends[whole] - centres[whole])
        return centres

    @property
    def beside(self) -> list[np.ndarray]:
        """What there is beside the points."""
        values = [getattr(self, field.name) for field in fields(self)[1:]]
        return [value for value in values if value is not None]

    @property
    def groups(self) -> np.ndarray:
        """Which sensors are one, by their name, or by themselves where they have none; numbers
        from 0 on, shape (sensor,)."""
        if self.names is None:
            return np.arange(len(self))
        alone = [name or i for i, name in enumerate(self.names.tolist())]
        number = {name: k for k, name in enumerate(dict.fromkeys(alone))}
        return np.array([number[name] for name in alone])

    def bounds(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The two ends of a segment."""
        if self.ends is not None and not np.isnan(self.ends[i]).any():
            return self.points[i], self.ends[i]
        return self.points[i] - self.radius[i], self.points[i] + self.radius[i]

    def is_bare(self, i: int) -> bool:
        """Whether a sensor is a point without a name."""
        is_wide = self.segments[i] or self.balls[i] or self.parts[i]
        return not is_wide and (self.names is None or not self.names[i])

    def describe(self, i: int) -> str:
        """A sensor in words, for messages."""
        place = _place(self.points[i])
        if self.ends is not None and not np.isnan(self.ends[i]).any():
            said = f"the segment from {place} to {_place(self.ends[i])}"
        elif self._has(self.radius)[i]:
            kind = ("interval", "disc", "ball")[self.points.shape[1] - 1]
            said = f"the {kind} of radius {self.radius[i]:g} about {place}"
        elif self.parts[i]:
            said = f"the mean over the part '{self.part[i]}'"
        else:
            said = f"the sensor at {place}"
        name = "" if self.names is None else self.names[i]
        return f"'{name}', {said}" if name else said


def _place(point: Sequence[float]) -> str:
    return f"({', '.join(f'{x:g}' for x in point)})"


@dataclass(frozen=True)
class Rule:
    """Points whose weighted values are what sensors read.

    Attributes:
        points: shape (point, dim).
        weights: of one sensor, their sum is 1, shape (point,); those of weight 0 only must lie in
            the domain.
        sensor: whose point it is, increasing, shape (point,).
    """

    points: np.ndarray
    weights: np.ndarray
    sensor: np.ndarray


def rule(shapes: Shapes, cells: Cells, comm: MPI.Comm, degree: int) -> Rule:
    """Means over segments, exact for functions that are polynomials of a degree along a line in
    every cell, and over balls, exact for polynomials of the degree, with points as dense as the
    cells; the same on every rank (collective).

    Args:
        cells: of this rank.
        degree: of the elements along a line.
    """
    segments, balls = np.flatnonzero(shapes.segments), np.flatnonzero(shapes.balls)
    if not len(segments) and not len(balls) and not shapes.parts.any():
        count = len(shapes)
        return Rule(shapes.points, np.ones(count), np.arange(count))
    parts = {i: (shapes.points[i : i + 1], np.ones(1)) for i in range(len(shapes))}
    for i in np.flatnonzero(shapes.parts):
        parts[i] = shapes.points[:0], np.ones(0)
    breaks = comm.allgather([cells.crossings(*shapes.bounds(i)) for i in segments])
    for i, *found in zip(segments, *breaks, strict=True):
        parts[i] = _segment(*shapes.bounds(i), np.concatenate(found), degree)
    sizes = np.array([cells.smallest(shapes.points[i], shapes.radius[i]) for i in balls])
    comm.Allreduce(MPI.IN_PLACE, sizes, MPI.MIN)
    for i, size in zip(balls, sizes, strict=True):
        radius = float(shapes.radius[i])
        offsets, weights = unit_ball(shapes.points.shape[1], degree, radius / size)
        parts[i] = shapes.points[i] + radius * offsets, weights
    counts = [len(parts[i][1]) for i in range(len(shapes))]
    points, weights = (np.concatenate([parts[i][k] for i in range(len(shapes))]) for k in (0, 1))
    return Rule(points, weights, np.repeat(np.arange(len(shapes)), counts))


def _segment(a, b, breaks: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss points between the breaks, which are given as shares of the way from a to b."""
    ends = np.sort(np.concatenate([breaks, [0.0, 1.0]]))
    ends = np.append(ends[:-1][np.diff(ends) > SAME], 1.0)
    places, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    widths = np.diff(ends)
    at = ends[:-1, None] + widths[:, None] * (0.5 + 0.5 * places)
    weights = (0.5 * widths[:, None] * weights).ravel()
    return a + at.reshape(-1, 1) * (np.asarray(b) - a), weights / weights.sum()


def unit_ball(dim: int, degree: int, cells: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the mean over the unit disc or ball, and points of weight 0 on its rim.

    Gauss points along the radius and the axis, evenly spaced ones around it.

    Args:
        degree: of polynomials whose mean is exact.
        cells: how many there are along the radius, about; so many points there are at least.
    """
    count = degree + 2 + int(np.ceil(min(cells, 1e3)))
    radii, weights = np.polynomial.legendre.leggauss(count)
    radii = 0.5 + 0.5 * radii
    weights = weights * radii ** (dim - 1)
    radii, weights = np.append(radii, 1.0), np.append(weights, 0.0)
    angles = 2.0 * np.pi * np.arange(4 * count) / (4 * count)
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    around = np.ones(len(angles))
    if dim == 3:
        heights, tall = np.polynomial.legendre.leggauss(count)
        flat = np.sqrt(1.0 - heights**2)
        wide = (flat[:, None, None] * ring).reshape(-1, 2)
        ring = np.column_stack([wide, np.repeat(heights, len(angles))])
        around = np.repeat(tall, len(angles))
    points = (radii[:, None, None] * ring).reshape(-1, dim)
    weights = np.outer(weights, around).ravel()
    poles = np.vstack([np.eye(dim), -np.eye(dim)])
    weights = np.append(weights / weights.sum(), np.zeros(2 * dim))
    return np.vstack([points, poles]), weights
