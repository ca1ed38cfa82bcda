"""A rational function of A fixed in advance by the numerical range: the linear engine of gradients.

For z in the parabola Ω = {|Im z|² ≤ P |Re z|, Re z ≤ 0} the increment of a state is

    y(t) = θ0 + ψ_t(A) z0,   ψ_t(z) = (e^{tz} − 1)(1 − γz)/(γz),   z0 = R (M θ0 + γF) − θ0,

and ψ_t is a bounded function of w = 1/(1 − γz), the symbol of L = (I − γA)⁻¹.  With polynomials
p_j orthonormal over the image of ∂Ω (an Arnoldi process on a few hundred numbers)

    ψ_t(A) z0 ≈ Σ_j c_j(t) x_j,   x_0 = z0,   h_{j+1,j} x_{j+1} = L x_j − Σ_{i≤j} h_ij x_i:

a recurrence with fixed numbers, linear in the data, the same for every mesh, for all times at once.
By Crouzeix & Palencia (2017) its error is at most (1 + √2) max_Ω |ψ_t − Σ c_j p_j| ‖z0‖, and
‖x_j‖ ≤ (1 + √2) max_Ω |p_j| ‖z0‖.

For ten times in T it takes m solves, m growing with P·T = max |u|² T/κ alone:

    P·T              0     10    100    1000    5000
    tolerance 1e-6   17    22     41     107     253
    tolerance 1e-9   26    32     55     138     325

and with the fourth root of the span t_K/t_1 where nothing flows (seven times, geometric):

    t_K/t_1          10    100   1000    10^4
    tolerance 1e-6   17    25     48      89
    tolerance 1e-9   26    43     74     133

Why not differentiate the Krylov process that is cheaper for values?  Its derivative is exact for
what it computes, but the polynomial it builds is small only where the start has energy.  Measured
(cellular flow, n = 48, smooth θ0, ten times; dK noise on the pattern of K): with the state right to
7e-7 the derivative was wrong by up to 27 times its size, with 6e-10 by as much as its size; and
with a small pole (κ = 1e-3, T/70) rounding alone left 1e-3 … 1e-2 in any direction.  Here the
derivative lags the state by about one digit in every direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from advdiff.core.errors import ConvergenceError

CROUZEIX = 1.0 + np.sqrt(2.0)
_SLACK = 10.0
_POINTS = 400


@dataclass(frozen=True)
class RationalFilter:
    """The numbers of the recurrence.

    Attributes:
        pole: γ.
        times: t_1 < … < t_K.
        hessenberg: h_ij, m × (m − 1).
        coefficients: c_j(t_k), m × K.
        peaks: max_Ω |p_j|, m; where Ω is not known, a limit of what is believable.
        error: max over Ω and the times of |ψ_t − Σ_j c_j(t) p_j|, or an estimate.
    """

    pole: float
    times: tuple[float, ...]
    hessenberg: np.ndarray
    coefficients: np.ndarray
    peaks: np.ndarray
    error: float
    learned: bool = False

    @property
    def dimension(self) -> int:
        """m, the number of vectors; a forward sweep takes m solves."""
        return len(self.peaks)

    @property
    def bounded(self) -> bool:
        """Whether the error and the peaks are those of a known numerical range."""
        return not self.learned


def design_filter(
    flow_bound: float,
    times: Sequence[float],
    tolerance: float,
    *,
    pole: float | None = None,
    dimension: int | None = None,
    max_dimension: int = 250,
) -> RationalFilter:
    """The shortest filter whose error on Ω is within ten tolerances.

    The slack is what the maximum over Ω overstates: measured derivatives then meet the tolerance,
    states are better by another digit.  Only P·t_K (rounded up to a power of 2^¼, so that an
    inversion keeps its filter from one iterate to the next) and t_k/t_K enter, and results are
    remembered.

    Args:
        flow_bound: P, finite.
        times: 0 < t_1 < … < t_K.
        pole: γ; by default a fit to the best one.
        dimension: exactly this many vectors, whatever the error.
        max_dimension: give up there.

    Raises:
        ConvergenceError: if max_dimension vectors do not do.
    """
    final = float(times[-1])
    strength = flow_bound * final
    if strength > 0.0:
        strength = 2.0 ** (np.ceil(4.0 * np.log2(strength)) / 4.0)
    if pole is None:
        digits = -np.log10(tolerance)
        pole = final / max(5.0 * digits, (6.0 + digits) * np.cbrt(strength))
        pole = min(pole, spanning_pole(times, tolerance))
    hessenberg, coefficients, peaks, error = _expand(
        float(strength),
        tuple(float(t / final) for t in times),
        float(pole / final),
        _SLACK * tolerance,
        dimension,
        max_dimension,
    )
    if dimension is None and error > _SLACK * tolerance:
        raise ConvergenceError(
            f"a rational filter of {max_dimension} vectors reaches {error:.1e} on the numerical "
            f"range where {_SLACK * tolerance:.1e} is asked (P·T = {strength:.3g}, "
            f"t_K/t_1 = {final / times[0]:.3g}, γ/T = {pole / final:.3g}); raise solver.tolerance, "
            "shorten time.final, or let the first of time.outputs be later"
        )
    return RationalFilter(float(pole), tuple(times), hessenberg, coefficients, peaks, error)


def spanning_pole(times: Sequence[float], tolerance: float) -> float:
    """A fit to the best γ where the times span decades: between the first and the last."""
    return float(np.sqrt(times[0] * times[-1]) / -np.log10(tolerance))


@lru_cache(maxsize=32)
def _expand(
    strength: float,
    times: tuple[float, ...],
    pole: float,
    target: float,
    dimension: int | None,
    max_dimension: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Recurrence and coefficients in units of the final time.

    The points are half of the parabola, the other half being conjugate, at logarithmic distances;
    inner products are the real parts, so that all numbers of the recurrence are real.
    """
    limit = dimension or max_dimension
    distance = np.geomspace(1e-6, 1e6, max(_POINTS, 3 * limit)) / pole
    z = -distance + 1j * np.sqrt(strength * distance)
    w = 1.0 / (1.0 - pole * z)
    remainder = np.expm1(np.outer(times, z)) * ((1.0 - pole * z) / (pole * z))
    points = len(w)
    basis = np.empty((limit, points), dtype=complex)
    basis[0] = 1.0
    hessenberg = np.zeros((limit, limit))
    coefficients = np.empty((limit, len(times)))
    error = np.inf
    for j in range(limit):
        coefficients[j] = (remainder @ basis[j].conj()).real / points
        remainder -= np.outer(coefficients[j], basis[j])
        error = float(np.abs(remainder).max())
        m = j + 1
        if m == limit or (dimension is None and error <= target):
            break
        following = w * basis[j]
        for _ in range(2):
            h = (basis[:m].conj() @ following).real / points
            following -= h @ basis[:m]
            hessenberg[:m, j] += h
        hessenberg[m, j] = np.linalg.norm(following) / np.sqrt(points)
        basis[m] = following / hessenberg[m, j]
    peaks = np.abs(basis[:m]).max(axis=1)
    return hessenberg[:m, : m - 1], coefficients[:m], peaks, error
