"""In which cell a point lies, and how far from the domain, in any unit and from any origin.

DOLFINx' tree of boxes only compares coordinates; its collision test has a tolerance of 1e-6 in
them.  Here a cell of the tree is asked for the point's reference coordinates, from the corners as
seen from the point, where large coordinates have cancelled.
"""

from __future__ import annotations

import basix
import numpy as np
from dolfinx import geometry

from advdiff.core import compat
from advdiff.domain.mesh import Domain

PADDING = 1e-9
"""Of the boxes, relative to the domain."""
BESIDE = 1e-9
"""How far beside a cell a point may lie, in reference coordinates: on its side, to rounding."""
NEWTON = 20
"""Steps; affine cells need one, and another for the rounding."""
CLOSE = 1e-12
"""A step that ends them."""
NOWHERE = np.iinfo(np.int64).max


class Cells:
    """The owned cells of a domain, asked for points (made locally; no call is collective).

    Args:
        domain: a mesh of cells with straight edges.
    """

    def __init__(self, domain: Domain):
        msh, self._dim = domain.mesh, domain.dim
        owned = msh.topology.index_map(self._dim).size_local
        self.original = msh.topology.original_cell_index[:owned]
        self._x = msh.geometry.x[:, : self._dim]
        self._nodes = compat.cell_nodes(msh)[:owned]
        self._simplices = domain.is_simplicial
        lower, upper = domain.bounds
        self._rounding = 4.0 * np.finfo(float).eps * np.maximum(np.abs(lower), np.abs(upper)).max()
        padding = PADDING * domain.extent + self._rounding
        cells = np.arange(owned, dtype=np.int32)
        self._tree = geometry.bb_tree(msh, self._dim, entities=cells, padding=padding)
        cmap = compat.coordinate_map(msh)
        self._element = basix.create_element(
            basix.ElementFamily.P,
            msh.basix_cell(),
            cmap.degree,
            basix.LagrangeVariant(cmap.variant),
        )
        sides = basix.topology(self._element.cell_type)[self._dim - 1]
        self._sides = np.array([side[: self._dim] for side in sides])

    def holding(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cell that holds each point: that of the lowest original index, where several do.

        Args:
            points: shape (n, dim).

        Returns:
            Local indices of cells, −1 where none does, shape (n,), and the reference coordinates
            of the points in them, shape (n, dim).
        """
        cells = np.full(len(points), -1, dtype=np.int32)
        reference = np.zeros(points.shape)
        padded = np.zeros((len(points), 3))
        padded[:, : self._dim] = points
        found = geometry.compute_collisions_points(self._tree, padded)
        which, at = np.repeat(np.arange(len(points)), np.diff(found.offsets)), found.array
        corners = self._x[self._nodes[at]] - points[which, None]
        inside, places = self._pull_back(corners)
        which, at, places = which[inside], at[inside], places[inside]
        order = np.argsort(-self.original[at], kind="stable")  # the lowest is written last
        cells[which[order]], reference[which[order]] = at[order], places[order]
        return cells, reference

    def _pull_back(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether cells hold the origin, shape (n,), and its reference coordinates, (n, dim).

        Args:
            corners: of one cell each, shape (n, node, dim).
        """
        places = np.tile(self._element.points.mean(axis=0), (len(corners), 1))
        if not len(corners):
            return np.zeros(0, dtype=bool), places
        for _ in range(NEWTON):
            table = self._element.tabulate(1, places)[..., 0]
            here = np.einsum("pn,pnd->pd", table[0], corners)
            inverse = np.linalg.pinv(np.einsum("apn,pnd->pda", table[1:], corners), rcond=0.0)
            step = np.einsum("pad,pd->pa", inverse, here)
            places = np.clip(places - step, -1.0, 2.0)
            if np.abs(step).max() < CLOSE:
                break
        depth = np.minimum(places, 1.0 - places).min(axis=1)
        if self._simplices:
            depth = np.minimum(depth, 1.0 - places.sum(axis=1))
        beside = BESIDE + self._rounding * np.abs(inverse).sum(axis=(1, 2))
        return depth >= -beside, places

    def nearest(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """How far a point is from these cells, and their nearest point, shape (dim,)."""
        corners = self._x[self._nodes] - point
        low, high = corners.min(axis=1), corners.max(axis=1)
        boxes = np.linalg.norm(np.maximum(np.maximum(low, -high), 0.0), axis=1)
        best, where = np.inf, np.full(self._dim, np.nan)
        for cell in np.argsort(boxes):
            if boxes[cell] >= best:
                break
            hull = np.zeros((corners.shape[1], 3))
            hull[:, : self._dim] = corners[cell]
            size = np.abs(hull).max()
            way = geometry.compute_distance_gjk(hull / size, np.zeros((1, 3)))
            distance = size * float(np.linalg.norm(way))
            if distance < best:
                best, where = distance, way[: self._dim] * size
        return best, point + where

    def inverse_jacobians(self, cells: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """∂X_a/∂x_d at a point of each cell, shape (n, a, d)."""
        if not len(cells):
            return np.zeros((0, self._dim, self._dim))
        table = self._element.tabulate(1, reference)[1:, ..., 0]
        corners = self._x[self._nodes[cells]]
        corners = corners - corners[:, :1]
        return np.linalg.inv(np.einsum("apn,pnd->pda", table, corners))

    def _meeting(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Cells whose boxes meet a box."""
        corners = self._x[self._nodes]
        room = self._rounding
        meets = (corners.min(axis=1) <= high + room) & (corners.max(axis=1) >= low - room)
        return np.flatnonzero(meets.all(axis=1))

    def smallest(self, point: np.ndarray, radius: float) -> float:
        """The size of the smallest cell about a ball, infinite where these cells have none."""
        corners = self._x[self._nodes[self._meeting(point - radius, point + radius)]]
        sides = np.ptp(corners, axis=1).max(axis=1)
        return float(sides.min(initial=np.inf))

    def crossings(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Where the segment from a to b enters or leaves these cells, as shares of its length.

        A cell is what its sides' planes enclose: sides that are not flat are met nearby.
        """
        near = self._meeting(np.minimum(a, b), np.maximum(a, b))
        corners = self._x[self._nodes[near]] - a
        sides = corners[:, self._sides]  # (cell, side, node, dim)
        base = sides[:, :, 0]
        if self._dim == 1:
            normals = np.ones_like(base)
        elif self._dim == 2:
            edge = sides[:, :, 1] - base
            normals = np.stack([-edge[..., 1], edge[..., 0]], axis=-1)
        else:
            normals = np.cross(sides[:, :, 1] - base, sides[:, :, 2] - base)
        middle = corners.mean(axis=1)[:, None]
        normals *= np.sign(np.sum((middle - base) * normals, axis=-1, keepdims=True))
        start = -np.sum(base * normals, axis=-1)
        slope = normals @ (b - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = -start / slope
        enters = np.where(slope > 0.0, at, 0.0).max(axis=1, initial=0.0)
        leaves = np.where(slope < 0.0, at, 1.0).min(axis=1, initial=1.0)
        crossed = leaves > enters
        return np.unique(np.concatenate([enters[crossed], leaves[crossed]]))
