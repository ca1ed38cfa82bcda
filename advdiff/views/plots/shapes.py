"""Fields on the mesh: curves in one dimension, colours in two, a section through three.

Cells are simplices, quadrilaterals or hexahedra.  Neighbours may have points of their own on the
side they share: a jump between them is drawn as one.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.tri import LinearTriInterpolator, Triangulation

from advdiff.views.plots import canvas

MAX_RATIO = 8.0
"""Longer domains are not drawn to scale."""
LEVELS = 128
"""Steps of a colour scale."""


def shape(points: np.ndarray, cells: np.ndarray) -> Line | Surface:
    """The shape to draw a mesh as."""
    return {1: Line, 2: Surface, 3: Section}[points.shape[1]](points, cells)


class Line:
    """An interval: values against x."""

    dim = 1

    def __init__(self, points: np.ndarray, cells: np.ndarray):
        ends = points[cells, 0]
        cells = np.take_along_axis(cells, np.argsort(ends, axis=1), axis=1)
        self._order = cells[np.argsort(ends.mean(axis=1))].ravel()
        self.x = points[self._order, 0]

    def curve(self, axes: Axes, values: np.ndarray, **options) -> None:
        """Plot vertex values, cell by cell; a jump is a vertical line."""
        axes.plot(self.x, values.reshape(len(values), -1)[self._order, 0], **options)

    def frame(self, axes: Axes) -> None:
        """Limits and labels."""
        axes.set_xlim(self.x[0], self.x[-1])
        axes.set_xlabel("x")

    def sensors(self, axes: Axes, points: np.ndarray) -> None:
        """Mark sensors along the lower edge."""
        axes.plot(
            points[:, 0],
            np.full(len(points), 0.02),
            transform=axes.get_xaxis_transform(),
            linestyle="none",
            marker="^",
            color=canvas.MUTED,
            markersize=5,
        )


class Surface:
    """A part of the plane in triangles or quadrilaterals, maybe with holes.

    Attributes:
        triangulation: what is drawn.
        note: says where it is ("" where that is plain).
    """

    dim = 2
    note = ""

    def __init__(self, points: np.ndarray, cells: np.ndarray):
        if cells.shape[1] == 4:
            cells = cells[:, [[0, 1, 3], [0, 3, 2]]].reshape(-1, 3)
        self.triangulation = Triangulation(points[:, 0], points[:, 1], cells)
        self.lower, self.upper = points[:, :2].min(axis=0), points[:, :2].max(axis=0)

    def at(self, values: np.ndarray) -> np.ndarray:
        """Values where they are drawn, from those at the mesh's vertices."""
        return values

    @property
    def ratio(self) -> float:
        """Width over height, as drawn."""
        width, height = self.upper - self.lower
        ratio = width / height
        return ratio if 1 / MAX_RATIO <= ratio <= MAX_RATIO else np.clip(ratio, 0.5, 2.0)

    @cached_property
    def _places(self) -> np.ndarray:
        """The number of the place where each point is; several may be in one."""
        points = np.stack([self.triangulation.x, self.triangulation.y], axis=1)
        return places(points, 1e-9 * (self.upper - self.lower).max())

    @cached_property
    def _joined(self) -> Triangulation:
        """The same with one point in each place."""
        places = self._places
        a, b, c = corners = places[self.triangulation.triangles].T
        whole = (a != b) & (b != c) & (c != a)
        return Triangulation(
            self._joint(self.triangulation.x), self._joint(self.triangulation.y), corners.T[whole]
        )

    def _joint(self, values: np.ndarray) -> np.ndarray:
        """The mean of the values at the points in each place."""
        return np.bincount(self._places, values) / np.bincount(self._places)

    @cached_property
    def _outline(self) -> np.ndarray:
        """The edges that belong to one triangle only, (edge, end, axis)."""
        corners = self._joined.triangles
        edges = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        edges, counts = np.unique(edges, axis=0, return_counts=True)
        points = np.stack([self._joined.x, self._joined.y], axis=1)
        return points[edges[counts == 1]]

    def frame(self, axes: Axes) -> None:
        """Outline, limits, labels, and equal scales where the domain is not too long."""
        axes.set_facecolor(canvas.LAND)
        axes.spines[:].set_visible(False)
        # Not snapped to pixels one by one, which makes a straight side of many edges wavy.
        axes.add_collection(
            LineCollection(
                self._outline, colors=canvas.INK, linewidths=0.8, clip_on=False, snap=False
            )
        )
        axes.set_xlim(self.lower[0], self.upper[0])
        axes.set_ylim(self.lower[1], self.upper[1])
        width, height = self.upper - self.lower
        axes.set_aspect("equal" if self.ratio == width / height else "auto")
        axes.set_xlabel("x" + self.note)
        axes.set_ylabel("y")
        axes.locator_params(nbins=6)

    def _grid(self, size: int, inset: float = 0.0):
        """x and y of a grid with ``size`` points along the longer side."""
        extent = self.upper - self.lower
        counts = np.clip(np.rint(size * extent / extent.max()), 20, None).astype(int)
        ends = self.lower + inset * extent, self.upper - inset * extent, counts
        return tuple(np.linspace(*end) for end in zip(*ends, strict=True))

    def sampled(self, values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ma.MaskedArray:
        """Values, the means of those at jumps, on a grid; masked outside the domain."""
        return LinearTriInterpolator(self._joined, self._joint(values))(*np.meshgrid(x, y))

    def colors(
        self, axes: Axes, values: np.ndarray, cmap, limits: tuple[float, float]
    ) -> ScalarMappable:
        """Colour the domain by a scalar; returns what a colour bar needs."""
        scale = ScalarMappable(Normalize(*limits), cmap)
        # Flat steps too fine to see: a third of the file that shaded triangles make.
        axes.tricontourf(
            self.triangulation,
            self.at(values),
            np.linspace(*limits, LEVELS + 1),
            cmap=scale.cmap,
            norm=scale.norm,
            extend="both",
            antialiased=False,
        )
        return scale

    def streamlines(self, axes: Axes, velocity: np.ndarray) -> None:
        """Streamlines of a velocity (its part in the plane); they end at walls and islands."""
        flow = self.at(velocity)[:, :2]
        if not np.any(flow):
            return
        x, y = self._grid(160, inset=0.01)
        u, v = (self.sampled(part, x, y) for part in flow.T)
        # Lines wind round a centre for ever where the flow has none of its speed left.
        still = np.hypot(u, v) < 0.03 * np.hypot(*flow.T).max()
        u, v = (np.ma.masked_where(still, part) for part in (u, v))
        extent = self.upper - self.lower
        axes.streamplot(
            x,
            y,
            u,
            v,
            density=tuple(np.clip(1.3 * extent / extent.max(), 0.3, None)),
            color="white",
            linewidth=0.8,
            arrowsize=0.9,
        )

    def sensors(self, axes: Axes, points: np.ndarray) -> None:
        """Mark sensors."""
        axes.plot(
            points[:, 0],
            points[:, 1],
            linestyle="none",
            marker="o",
            markersize=4,
            markerfacecolor=canvas.MARK,
            markeredgecolor=canvas.INK,
            markeredgewidth=0.8,
            clip_on=False,
            zorder=5,
        )


class Section(Surface):
    """The cut of tetrahedra or hexahedra by the plane half way up, exact for linear fields."""

    dim = 3

    def __init__(self, points: np.ndarray, cells: np.ndarray):
        z = points[:, 2]
        level = 0.5 * (z.min() + z.max())
        self.note = f" (section at z = {level:.4g})"
        self._centres: list[np.ndarray] = []
        if cells.shape[1] == 8:
            below = snapped(z - level)[cells] < 0
            reached = below.any(axis=1) & ~below.all(axis=1)
            self._centres, cells = tetrahedra(cells[reached], len(points))
        ends, weights, triangles = cut(self._with_centres(z) - level, cells)
        self._ends, self._weights = ends, weights
        super().__init__(self.at(points)[:, :2], triangles)

    def _with_centres(self, values: np.ndarray) -> np.ndarray:
        means = [values[corners].mean(axis=1) for corners in self._centres]
        return np.concatenate([values, *means])

    def at(self, values: np.ndarray) -> np.ndarray:
        """Linear interpolation along the edges cut."""
        values = self._with_centres(values)
        first, second = values[self._ends[:, 0]], values[self._ends[:, 1]]
        weights = self._weights.reshape((-1,) + (1,) * (values.ndim - 1))
        return (1 - weights) * first + weights * second


def places(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Numbers of the distinct places of points (point, axis) that are further apart than that."""
    labels = []
    for x in points.T:
        order = np.argsort(x)
        label = np.empty(len(x), dtype=np.int64)
        label[order] = np.cumsum(np.diff(x[order], prepend=x[order[:1]]) > tolerance)
        labels.append(label)
    return np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)[1].ravel()


def tetrahedra(hexahedra: np.ndarray, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut hexahedra into 24 tetrahedra each, which fit those of the neighbours.

    The new points are the centres of faces and cells, numbered from ``count`` on.

    Args:
        hexahedra: their corners, x fastest.
        count: number of points so far.

    Returns:
        The corners of each new point's face, (face, 4), and cell, (cell, 8); and the tetrahedra.
    """
    around = np.array(
        [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
    )
    faces = hexahedra[:, around]  # (cell, face, corner)
    face = count + np.arange(faces[..., 0].size).reshape(faces.shape[:2])
    cell = count + face.size + np.arange(len(hexahedra))
    edges = np.stack([faces, np.roll(faces, -1, axis=2)], axis=-1)
    cells = np.concatenate(
        [
            edges,
            np.broadcast_to(face[:, :, None, None], (*edges.shape[:3], 1)),
            np.broadcast_to(cell[:, None, None, None], (*edges.shape[:3], 1)),
        ],
        axis=-1,
    )
    return [faces.reshape(-1, 4), hexahedra], cells.reshape(-1, 4)


def snapped(height: np.ndarray) -> np.ndarray:
    """Heights that are zero but for round-off made so."""
    return np.where(np.abs(height) < 1e-9 * np.abs(height).max(), 0.0, height)


def cut(height: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut tetrahedra where a linear function vanishes.

    Args:
        height: the function at the vertices.
        cells: vertices of each tetrahedron.

    Returns:
        For each point of the cut the two ends of its edge, (point, 2), and the weight of the
        second; and the triangles between these points.
    """
    # A vertex in the plane counts as above it, and all edges that reach it meet it in one point.
    height = snapped(height)
    below = height[cells] < 0
    rows = np.argsort(~below, axis=1, kind="stable")  # corners below the plane first
    sorted_cells, count = np.take_along_axis(cells, rows, axis=1), below.sum(axis=1)
    pieces = []
    for number, edges in (
        (1, [(0, 1), (0, 2), (0, 3)]),
        (2, [(0, 2), (0, 3), (1, 2), (1, 2), (0, 3), (1, 3)]),
        (3, [(0, 3), (1, 3), (2, 3)]),
    ):
        pieces.append(sorted_cells[count == number][:, edges].reshape(-1, 3, 2))
    corners = np.concatenate(pieces)
    high = corners[..., 1]
    corners = np.where((height[high] == 0)[..., None], high[..., None], corners)
    ends, index = np.unique(np.sort(corners.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    triangles = index.reshape(-1, 3)
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    low, high = height[ends[:, 0]], height[ends[:, 1]]
    weights = np.divide(low, low - high, out=np.zeros(len(ends)), where=low != high)
    return ends, weights, triangles
