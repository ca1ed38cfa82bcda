"""Triangles in the plane: in which one a point lies, and what is linear in each of them.

Points are looked up by a table of equal boxes, each with the triangles that touch it, so that the
answer is exact whatever the sizes of the triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

BESIDE = 1e-3
"""Part of a triangle's height that a point may lie beside it: coordinates are often rounded."""
BOXES = 2.0
"""Of the table, for each triangle."""


@dataclass(frozen=True)
class Triangles:
    """A triangulation.

    Attributes:
        points: shape (n, 2).
        cells: indices of corners, shape (m, 3); none is flat.
        used: the numbers that its points had among those it was made of.
    """

    points: np.ndarray
    cells: np.ndarray
    used: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, cells: np.ndarray, bounds, widest: float) -> Triangles:
        """Those of the triangles that touch a box, and are not flat.

        Args:
            points: shape (n, 2), NaN where there is none.
            bounds: lower and upper corner of the box; None for all.
            widest: larger triangles reach over the seam of the globe.
        """
        corners = points[cells]
        low, high = corners.min(axis=1), corners.max(axis=1)
        good = np.isfinite(low).all(axis=1) & (high[:, 0] - low[:, 0] < widest)
        if bounds is not None:
            around = BESIDE * np.nan_to_num(high - low)
            good &= (low <= bounds[1] + around).all(axis=1)
            good &= (high >= bounds[0] - around).all(axis=1)
        size = np.prod(high - low, axis=1)
        good &= np.abs(_areas(corners)) > 1e-9 * np.where(good, size, 1.0)
        used, cells = np.unique(cells[good], return_inverse=True)
        return cls(points[used], cells.reshape(-1, 3), used)

    @cached_property
    def _table(self) -> tuple:
        """Lower corner, size and count of the boxes; where each one's triangles start; these."""
        corners = self.points[self.cells]
        low, high = corners.min(axis=1), corners.max(axis=1)
        pad = BESIDE * (high - low)
        low, high = low - pad, high + pad
        start, sides = low.min(axis=0), np.ptp(np.concatenate([low, high]), axis=0)
        step = np.sqrt(sides.prod() / (BOXES * len(self.cells)))
        counts = np.maximum(1, np.ceil(sides / step)).astype(int)
        step = sides / counts
        first = np.clip(((low - start) / step).astype(int), 0, counts - 1)
        spans = np.clip(((high - start) / step).astype(int), 0, counts - 1) - first + 1
        many = spans.prod(axis=1)
        which = np.repeat(np.arange(len(many)), many)
        inside = np.arange(len(which)) - np.repeat(np.cumsum(many) - many, many)
        x = first[which, 0] + inside % spans[which, 0]
        box = x + counts[0] * (first[which, 1] + inside // spans[which, 0])
        order = np.argsort(box, kind="stable")
        starts = np.searchsorted(box[order], np.arange(counts.prod() + 1))
        return start, step, counts, starts, which[order]

    def locate(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The triangle of each place, −1 where none is, and its barycentric coordinates there.

        Args:
            places: shape (k, 2).

        Returns:
            Shapes (k,) and (k, 3).
        """
        found, weights = np.full(len(places), -1), np.zeros((len(places), 3))
        if not len(self.cells):
            return found, weights
        start, step, counts, starts, listed = self._table
        box = np.floor((places - start) / step).astype(int)
        beyond = ((places < start) | (places > start + counts * step)).any(axis=1)
        box = np.clip(box, 0, counts - 1) @ [1, counts[0]]
        left, right = starts[box], np.where(beyond, starts[box], starts[box + 1])
        depth = np.full(len(places), -BESIDE)
        for k in range(int((right - left).max(initial=0))):
            some = np.flatnonzero(left + k < right)
            cells = listed[left[some] + k]
            at = self._barycentric(cells, places[some])
            least = at.min(axis=1)
            better = least > depth[some]
            some = some[better]
            found[some], weights[some], depth[some] = cells[better], at[better], least[better]
        weights = np.clip(weights, 0.0, None)
        return found, weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)

    def _barycentric(self, cells: np.ndarray, places: np.ndarray) -> np.ndarray:
        a, b, c = (self.points[self.cells[cells, k]] - places for k in range(3))
        parts = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1)
        return parts / parts.sum(axis=1, keepdims=True)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _areas(corners: np.ndarray) -> np.ndarray:
    return _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def fans(faces: np.ndarray) -> np.ndarray:
    """The triangles of convex polygons, from their first corners, shape (m, 3).

    Args:
        faces: corners in their order, −1 after the last, shape (face, most).
    """
    k = np.arange(1, faces.shape[1] - 1)
    cells = np.stack([np.broadcast_to(faces[:, :1], faces[:, k].shape), faces[:, k]], axis=-1)
    cells = np.concatenate([cells, faces[:, k + 1, None]], axis=-1).reshape(-1, 3)
    return cells[(cells >= 0).all(axis=1)]


def quads(shape: tuple[int, int], closed: bool) -> np.ndarray:
    """The triangles between the points of a curvilinear grid, row by row, shape (m, 3).

    Args:
        closed: whether the first column comes after the last.
    """
    n = np.arange(shape[0] * shape[1]).reshape(shape)
    n = np.concatenate([n, n[:, :1]], axis=1) if closed else n
    corners = [n[:-1, :-1], n[:-1, 1:], n[1:, 1:], n[1:, :-1]]
    return fans(np.stack(corners, axis=-1).reshape(-1, 4))


def to_corners(
    points: np.ndarray, owners: np.ndarray, places: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Values at corners of what has values at places of its own, shape (n,).

    At each corner the plane that fits the places around it best, exact for what is linear where
    three of them are in no line; NaN where one of them has no value.

    Args:
        points: corners, shape (n, 2).
        owners: corners of each place, −1 for none, shape (m, most).
        places: middles of faces or edges, shape (m, 2).
        values: there, shape (m,).
    """
    which, k = np.nonzero(owners >= 0)
    corner, count = owners[which, k], len(points)
    step = places[which] - points[corner]

    def total(amount: np.ndarray) -> np.ndarray:
        return np.bincount(corner, amount, minlength=count)

    many = np.maximum(total(np.ones(len(corner))), 1e-300)
    middle = np.stack([total(step[:, a]) / many for a in range(2)], axis=1)
    mean = total(values[which]) / many
    off, more = step - middle[corner], values[which] - mean[corner]
    square = np.array([[total(off[:, a] * off[:, b]) for a in range(2)] for b in range(2)])
    right = np.stack([total(off[:, a] * more) for a in range(2)], axis=1)
    known = np.isfinite(right).all(axis=1)
    inverse = np.linalg.pinv(square.transpose(2, 0, 1), rcond=1e-6, hermitian=True)
    slope = np.einsum("nab,nb->na", inverse, np.where(known[:, None], right, 0.0))
    return np.where(total(np.ones(len(corner))) > 0, mean - (slope * middle).sum(axis=1), np.nan)
