"""Ranks divided into groups: each has the whole domain, and a share of the parameter points.

``world`` is split into G groups of equal size.  Inside a group, ``domain`` is the communicator of
the mesh; ``cross`` joins the ranks that hold the same part of it in every group, so that a vector
passes from group to group by a copy of its local entries.  Full solves and products are shared out
to groups, reduced evaluations to all ranks.  No result depends on the division.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core.errors import InputError
from advdiff.core.ranks import agreed

T = TypeVar("T")
R = TypeVar("R")


class Groups:
    """The division of ``world`` into ``count`` groups (collective).

    Raises:
        InputError: where the ranks cannot be divided evenly.
    """

    def __init__(self, world: MPI.Comm = MPI.COMM_WORLD, count: int = 1):
        if count < 1 or world.size % count:
            raise InputError(
                f"--groups {count}: {world.size} rank(s) cannot be divided into so many equal "
                f"groups; give a divisor of {world.size}"
            )
        each = world.size // count
        self.world, self.count, self.index = world, count, world.rank // each
        self.domain = world if count == 1 else world.Split(self.index, world.rank)
        self.cross = world.Split(world.rank % each, world.rank)

    @property
    def writes(self) -> bool:
        """True in the group that writes results."""
        return self.index == 0

    def mine(self, count: int) -> range:
        """Which of ``count`` items this group takes."""
        return range(self.index, count, self.count)

    def gather(self, mine: Sequence[T], count: int) -> list[T]:
        """All items in order, from each group's own (collective)."""
        if self.count == 1:
            return list(mine)
        result: list = [None] * count
        for group, items in enumerate(self.cross.allgather(list(mine))):
            result[group :: self.count] = items
        return result

    def vectors(self, mine: Sequence[PETSc.Vec], template: PETSc.Vec) -> list[PETSc.Vec]:
        """The vectors of all groups, those of group 0 first (collective)."""
        if self.count == 1:
            return list(mine)
        with agreed(self.world):
            local = np.array([v.array_r for v in mine]).reshape(len(mine), template.local_size)
        result = []
        for block in self.cross.allgather(local):
            if block.shape[1] != template.local_size:
                raise RuntimeError("two groups divide the mesh differently; run with --groups 1")
            for row in block:
                result.append(template.duplicate())
                result[-1].setArray(row)
        return result

    def spread(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """``[function(item) for item in items]``, each evaluated on one rank of the world.

        ``function`` must not communicate (collective).
        """
        world = self.world
        mine: list[R] = []
        with agreed(world):
            mine = [function(item) for item in items[world.rank :: world.size]]
        result: list = [None] * len(items)
        for rank, values in enumerate(world.allgather(mine)):
            result[rank :: world.size] = values
        return result
