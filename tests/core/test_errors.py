"""Ranks agree on an error, and one that fails alone does not wait for ever."""

from __future__ import annotations

import pytest
from mpi4py import MPI

from advdiff.core.errors import InputError
from advdiff.core.ranks import agreed

WORLD = MPI.COMM_WORLD


@pytest.mark.parametrize("patience", [float("inf"), 30.0])
@pytest.mark.parametrize("rank", [0, WORLD.size - 1])
def test_an_error_of_one_rank_is_that_of_all(rank, patience):
    with pytest.raises(InputError, match=f"of rank {rank}"), agreed(WORLD, patience):
        if WORLD.rank == rank:
            raise InputError(f"of rank {rank}")


def test_without_an_error_nothing_is_raised():
    with agreed(WORLD, 1.0):
        total = WORLD.allreduce(1)  # within, ranks may communicate
    assert total == WORLD.size


@pytest.mark.skipif(WORLD.size == 1, reason="nobody to wait for")
def test_who_fails_alone_waits_no_longer_than_it_was_told():
    """The others wait for it inside the block; once it has given up, it lets them go on."""
    last = WORLD.size - 1
    with pytest.raises(InputError, match="alone"):
        if WORLD.rank == last:
            try:
                with agreed(WORLD, 0.2):
                    raise InputError("alone")
            except InputError as error:
                WORLD.bcast(None, root=last)  # what the others are waiting for
                WORLD.bcast(error, root=last)  # and what they then ask it
                raise
        with agreed(WORLD, 0.2):
            WORLD.bcast(None, root=last)
