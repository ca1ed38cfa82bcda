"""What ``kernels.c`` takes, for ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from mpi4py import MPI

from advdiff.core import jit

LANES, STRIP, CHUNK = 8, 32, 16
"""As in ``kernels.c``."""
SOURCE = Path(__file__).with_name("kernels.c")
_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p


class Matrix(ctypes.Structure):
    """Of either kind, see ``kernels.c``."""

    _fields_ = (
        *((name, _LONG) for name in ("strips", "reach", "diagonals")),
        *((name, _POINTER) for name in ("offset", "start", "column", "value")),
    )


class Source(ctypes.Structure):
    """What is added to every vector."""

    _fields_ = (("count", _LONG), *((n, _POINTER) for n in ("weight", "field", "place")))


class Sums(ctypes.Structure):
    """Where vectors are added up."""

    _fields_ = (("count", _LONG), ("stride", _LONG), ("weight", _POINTER), ("total", _POINTER))


class Pairs(ctypes.Structure):
    """Where products of two vectors are added up on a pattern."""

    _fields_ = tuple((name, _POINTER) for name in ("entry", "packed", "right"))


def library(comm: MPI.Comm) -> ctypes.CDLL:
    """The kernels (collective).

    Raises:
        NoCompiler: on every rank.
    """
    found = ctypes.CDLL(str(jit.library(comm, SOURCE)))
    integer, real, by = ctypes.c_int, ctypes.c_double, ctypes.c_void_p
    found.chain.argtypes = [by] * 5 + [_LONG] * 3 + [by] * 7
    found.gather.argtypes = [by] * 6 + [_LONG] * 2
    found.fill.argtypes = [_LONG] + [by] * 4 + [integer, real, real] + [by] * 3
    return found


def pointer(array: np.ndarray | None) -> int | None:
    """Where an array begins, which must stay alive as long as this is used."""
    return None if array is None else array.ctypes.data
