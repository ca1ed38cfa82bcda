"""A rational function of A fixed in advance by the numerical range: the linear engine of gradients.

For z in the parabola Ω = {|Im z|² ≤ P |Re z|, Re z ≤ 0} the increment of a state is

    y(t) = θ0 + ψ_t(A) z0,   ψ_t(z) = (e^{tz} − 1)(1 − γz)/(γz),   z0 = R (M θ0 + γF) − θ0,

and ψ_t is a bounded function of w = 1/(1 − γz), the symbol of L = (I − γA)⁻¹.  With polynomials
p_j orthonormal over the image of ∂Ω (an Arnoldi process on some hundred numbers)

    ψ_t(A) z0 ≈ Σ_j c_j(t) x_j,   x_0 = z0,   h_{j+1,j} x_{j+1} = L x_j − Σ_{i≤j} h_ij x_i:

a recurrence with fixed numbers, linear in the data, the same for every mesh, for all times at once.
By Crouzeix & Palencia (2017) its error is at most (1 + √2) max_Ω |e| ‖z0‖, e = ψ_t − Σ c_j p_j, and
‖x_j‖ ≤ (1 + √2) max_Ω |p_j| ‖z0‖.

A derivative along dA sees divided differences of e, not its values, and between two points that a
polynomial of degree m tells apart e turns by its own size: with max |e| alone, what ρ of a rough
start had wrong was m/2 times as much (Bernstein).  With A symmetric in M and D the largest ratio of
|xᵀ dK x| to |xᵀ K x|, dA = |A|^½ N |A|^½, ‖N‖ ≤ D, and between eigenvalues x, y

    √(xy) |e[x, y]| = |∫ e' dz| √(xy)/|x − y| ≤ max |z e'(z)| √(xy) |ln(x/y)|/|x − y| ≤ max |z e'|,

the geometric mean being below the logarithmic one.  So what is bounded is |z e'(z)| too, and the
inner product is that of both, ∫ p q̄ + (z p')(z q')̄ (z d/dz = w(w − 1) d/dw).

For ten times in T it takes m solves, m growing with P·T = max |u|² T/κ alone:

    P·T              0     10    100    1000    5000
    tolerance 1e-6   21    31     52     140     362
    tolerance 1e-9   32    42     66     167     416

and with the fourth root of the span t_K/t_1 where nothing flows (seven times, geometric):

    t_K/t_1          10    100   1000    10^4
    tolerance 1e-6   21    36     67     124
    tolerance 1e-9   32    52     98     180

Why not differentiate the Krylov process that is cheaper for values?  Its derivative is exact for
what it computes, but the polynomial it builds is small only where the start has energy.  Measured
(cellular flow, n = 48, smooth θ0, ten times; dK noise on the pattern of K): with the state right to
7e-7 the derivative was wrong by up to 27 times its size, with 6e-10 by as much as its size; and
with a small pole (κ = 1e-3, T/70) rounding alone left 1e-3 … 1e-2 in any direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from advdiff.core.errors import ConvergenceError

CROUZEIX = 1.0 + np.sqrt(2.0)
_SLACK = 10.0
_POINTS = 6
"""On the parabola, a vector; with 4, filters are wrong between them."""
_FIRST = 64


@dataclass(frozen=True)
class RationalFilter:
    """The numbers of the recurrence.

    Attributes:
        pole: γ.
        times: t_1 < … < t_K.
        hessenberg: h_ij, m × (m − 1).
        coefficients: c_j(t_k), m × K.
        peaks: max_Ω |p_j|, m; where Ω is not known, a limit of what is believable.
        error: max over Ω and the times of |e|, e = ψ_t − Σ_j c_j(t) p_j, or an estimate.
        slope: the same of |z e'(z)|.
    """

    pole: float
    times: tuple[float, ...]
    hessenberg: np.ndarray
    coefficients: np.ndarray
    peaks: np.ndarray
    error: float
    slope: float
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
    """The shortest filter whose error on Ω is within ten tolerances and its slope within one.

    The states are then better than the tolerance by about a digit, derivatives meet it.  Only P·t_K
    (rounded up to a power of 2^¼, so that an inversion keeps its filter from one iterate to the
    next) and t_k/t_K enter, and results are remembered.

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
    scaled = tuple(float(t / final) for t in times)
    limit = dimension or min(_FIRST, max_dimension)
    while True:
        found = _expand(
            float(strength), scaled, float(pole / final), tolerance, limit, dimension is not None
        )
        error, slope = found[-2:]
        if dimension or limit == max_dimension or _good(error, slope, tolerance):
            break
        limit = min(2 * limit, max_dimension)
    if dimension is None and not _good(error, slope, tolerance):
        raise ConvergenceError(
            f"a rational filter of {max_dimension} vectors reaches {error:.1e} on the numerical "
            f"range, {slope:.1e} in its slope, where {_SLACK * tolerance:.1e} and {tolerance:.1e} "
            f"are asked (P·T = {strength:.3g}, t_K/t_1 = {final / times[0]:.3g}, "
            f"γ/T = {pole / final:.3g}); raise solver.tolerance, "
            "shorten time.final, or let the first of time.outputs be later"
        )
    return RationalFilter(float(pole), tuple(times), *found)


def spanning_pole(times: Sequence[float], tolerance: float) -> float:
    """A fit to the best γ where the times span decades: between the first and the last."""
    return float(0.7 * np.sqrt(times[0] * times[-1]) / -np.log10(tolerance))


def _good(error: float, slope: float, tolerance: float) -> bool:
    return error <= _SLACK * tolerance and slope <= tolerance


@lru_cache(maxsize=64)
def _expand(
    strength: float,
    times: tuple[float, ...],
    pole: float,
    tolerance: float,
    limit: int,
    fixed: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Recurrence, coefficients, peaks, error and slope, in units of the final time, of as many
    vectors as the tolerance needs, ``limit`` at the most, or if ``fixed`` of that many.

    The points are half of the parabola, the other half being conjugate, at logarithmic distances;
    inner products are the real parts, so that all numbers of the recurrence are real.  A row holds
    the values of a function and then those of its slope, z d/dz.  w p is p less (1 − w) p, for
    1 − w is known to its last digit where it is small, and ψ turns by t/γ there.
    """
    points = _POINTS * max(limit, _FIRST)
    distance = np.geomspace(1e-6, 1e6, points) / pole
    z = -distance + 1j * np.sqrt(strength * distance) if strength else -distance
    w, below = 1.0 / (1.0 - pole * z), -pole * z / (1.0 - pole * z)
    tz, ratio = np.outer(times, z), (1.0 - pole * z) / (pole * z)
    increments = np.expm1(tz)
    remainder = np.hstack([increments * ratio, tz * np.exp(tz) * ratio - increments / (pole * z)])
    basis = np.zeros((limit, 2 * points), dtype=z.dtype)
    basis[0, :points] = 1.0
    real = basis.view(float)
    hessenberg = np.zeros((limit, limit))
    coefficients = np.empty((limit, len(times)))
    for j in range(limit):
        coefficients[j] = remainder.view(float) @ real[j] / points
        remainder -= np.outer(coefficients[j], basis[j])
        error, slope = (float(np.abs(r).max()) for r in np.hsplit(remainder, 2))
        m = j + 1
        if m == limit or (not fixed and _good(error, slope, tolerance)):
            break
        following = np.tile(-below, 2) * basis[j]
        following[points:] -= w * below * basis[j, :points]
        for _ in range(2):
            h = real[:m] @ following.view(float) / points
            following.view(float)[:] -= h @ real[:m]
            hessenberg[:m, j] += h
        hessenberg[j, j] += 1.0
        hessenberg[m, j] = np.linalg.norm(following) / np.sqrt(points)
        basis[m] = following / hessenberg[m, j]
    peaks = np.abs(basis[:m, :points]).max(axis=1)
    return hessenberg[:m, : m - 1], coefficients[:m], peaks, error, slope
