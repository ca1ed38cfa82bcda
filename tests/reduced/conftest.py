"""What the tests of reduced models share."""

from __future__ import annotations

import pytest
from mpi4py import MPI


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return MPI.COMM_WORLD.bcast(tmp_path_factory.mktemp("reduced"))
