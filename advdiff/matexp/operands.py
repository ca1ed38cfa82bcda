"""What goes in and what comes out: validated stacks of matrices, and the reported result.

Every public function of this room accepts stacks ``(..., d, d)`` that broadcast as in numpy, real
or complex, of any precision, and works in double precision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.inexact]

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)


class DomainError(ValueError):
    """The method asked for is not valid for this input; the message names a remedy."""


class Result(NamedTuple):
    """A value together with the way it was obtained.

    ``value`` is the array asked for; ``method`` the name of the method that ran; ``reason`` why it
    was chosen; ``condition`` the largest cond₂(V) of the eigenbases used or looked at, in balanced
    units; ``error_estimate``, for every exact method, one of the relative error of ``value`` in the
    Frobenius and the spectral norm, the largest of a stack; ``terms`` how many terms, squarings or
    steps were used. ``None`` means "not computed by this method".
    """

    value: Array
    method: str = ""
    reason: str = ""
    condition: float | None = None
    error_estimate: float | None = None
    terms: int | None = None


def double(name: str, value: ArrayLike) -> Array:
    """``value`` as a finite float64 or complex128 array; ValueError otherwise."""
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name} must be numeric, got dtype {array.dtype}")
    array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return array


def matrices(name: str, value: ArrayLike) -> Array:
    """``value`` as a stack of square matrices of shape (..., d, d), d ≥ 1; ValueError otherwise."""
    array = double(name, value)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (..., d, d) with d >= 1, got {array.shape}")
    return array


def real_matrix(name: str, value: ArrayLike) -> Array:
    """``value`` as one real square matrix of shape (d, d); ValueError otherwise."""
    array = matrices(name, value)
    if array.ndim != 2:
        raise ValueError(f"{name} must be one matrix of shape (d, d), got {array.shape}")
    if np.iscomplexobj(array):
        raise ValueError(f"{name} must be real, got dtype {array.dtype}")
    return array


def times(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """``value`` as finite real times of any shape; ValueError otherwise."""
    array = double(name, value)
    if np.iscomplexobj(array):
        raise ValueError(f"{name} must be real (put a complex factor into the matrix)")
    return array


def stacks(Q: ArrayLike, J: ArrayLike, t: ArrayLike, names: str = "QJt") -> tuple[Array, ...]:
    """Validated ``Q``, ``J``, ``t``; the times shaped (..., 1, 1), so that ``t * Q`` broadcasts."""
    Q, J, t = matrices(names[0], Q), matrices(names[1], J), times(names[2], t)
    if Q.shape[-1] != J.shape[-1]:
        raise ValueError(f"{names[0]} is {Q.shape[-2:]} but {names[1]} is {J.shape[-2:]}")
    try:
        np.broadcast_shapes(Q.shape[:-2], J.shape[:-2], t.shape)
    except ValueError:
        raise ValueError(
            f"the stacks of {names[0]} {Q.shape[:-2]}, {names[1]} {J.shape[:-2]} and "
            f"{names[2]} {t.shape} do not broadcast"
        ) from None
    return Q, J, t[..., None, None]


def norm1(A: Array) -> NDArray[np.float64]:
    """The 1-norm of every matrix of the stack, shaped (..., 1, 1)."""
    return np.abs(A).sum(axis=-2).max(axis=-1)[..., None, None]


def adjoint(A: Array) -> Array:
    """The conjugate transpose of every matrix of the stack."""
    return A.conj().swapaxes(-1, -2)


def transpose(A: Array) -> Array:
    """The plain transpose of every matrix of the stack."""
    return A.swapaxes(-1, -2)


def real_if(value: Array, *operands: Array) -> Array:
    """``value`` without its imaginary part if no operand is complex."""
    if np.iscomplexobj(value) and not any(np.iscomplexobj(a) for a in operands):
        return value.real
    return value


def commutator(A: Array, B: Array) -> Array:
    """[A, B] = AB − BA."""
    return A @ B - B @ A
