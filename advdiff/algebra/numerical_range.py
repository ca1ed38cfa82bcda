"""Bounds of the numerical range W(A), A = M⁻¹K, in the inner product of a diagonal mass.

In the coordinates x̂ = M^{1/2} x the L² norm is Euclidean and A becomes Â = M^{-1/2} K M^{-1/2}
= H + S, symmetric plus skew.  Then

    W(A) ⊂ { σ − R ≤ Re z ≤ σ,  |Im z| ≤ min(I, √(P (σ − Re z))) },

R from the smallest eigenvalue of H, σ ≥ 0 from its largest one, I = ‖S‖, and P the generator's flow
bound.  A finite P says by its definition that A is dissipative (σ = 0).  Where it is infinite, σ
is bounded too: by Gershgorin's theorem if that is enough, by Lanczos if not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import NotFinite

_SWEEPS = 8  # products with |H| and |S|; the bounds hardly move after that
_LANCZOS_TOLERANCE = 1e-3
_LANCZOS_MARGIN = 1.01
_GROWTH_TOLERANCE = 1e-4


@dataclass(frozen=True)
class NumericalRange:
    """The region above.

    Attributes:
        real: R, extent to the left of ``growth``.
        imag: I, half the height.
        flow: P of the parabola; infinite where unknown.
        growth: σ ≥ 0, the right end.
        method: how the numbers were found.
    """

    real: float
    imag: float
    flow: float = math.inf
    growth: float = 0.0
    method: str = "given"

    def rounded(self) -> NumericalRange:
        """A region around this one, the same for those that are nearly this: R and I up to the next
        power of 2^¹⁄₁₆, P to one of 2^¼ (only where a parabola enters its box does it matter)."""
        if self.growth > 0.0:  # errors are relative to it
            return self
        real, imag = (_up(value, 16.0) for value in (self.real, self.imag))
        return replace(self, real=real, imag=imag, flow=_up(self.flow, 4.0))

    def corners(self) -> list[tuple[float, float]]:
        """Points (distance left of σ, height) whose inclusion in an ellipse with centre left of σ
        includes the region: where parabola and box meet, and the left end."""
        knee = self.imag**2 / self.flow if self.flow > 0.0 else math.inf
        if knee <= self.real:
            return [(knee, self.imag), (self.real, self.imag)]
        height = min(self.imag, math.sqrt(self.flow * self.real))
        return [(self.real, height)] * 2


def _up(value: float, steps: float) -> float:
    """The next power of 2 to the 1/steps; what is one but for rounding stays, whatever it was that
    ranks added up in another order."""
    if not 0.0 < value < math.inf:
        return value
    return max(2.0 ** (math.ceil(steps * math.log2(value) - 1e-6) / steps), value)


def bounds(generator: Generator, method: str = "gershgorin") -> NumericalRange:
    """Bound W(A) (collective).

    ``"gershgorin"`` bounds R and I rigorously, by Gershgorin's theorem in a diagonal scaling that
    a few products improve (Collatz and Wielandt: ρ(H) ≤ max_i (|H|d)_i / d_i for every d > 0).
    ``"lanczos"`` sharpens them by SLEPc to the Ritz value plus its residual and one per cent, which
    is not a proof, but an engine notices at run time; the start vector is random, so that its last
    digits depend on the number of ranks.  The eigensolvers obey ``advdiff_faber_range_``.

    Raises:
        ValueError: the mass is not diagonal, a matrix entry is not finite, unknown method.
    """
    if not generator.mass.is_diagonal:
        raise ValueError(
            "the numerical range in explicit form needs a diagonal mass (lumped P1, collocated "
            "spectral elements); for a consistent mass use the shift-invert engine"
        )
    if method not in ("gershgorin", "lanczos"):
        raise ValueError(f"range must be 'gershgorin' or 'lanczos', not {method!r}")
    if not generator.flow_bound >= 0.0:
        raise ValueError(f"the flow bound must not be negative, got {generator.flow_bound}")
    if not math.isfinite(generator.stiffness.norm()):
        raise NotFinite("the stiffness matrix has entries that are not finite")

    symmetric, skew, root = _parts(generator)
    real, right = _gershgorin(symmetric, root)
    imag, _ = _gershgorin(skew, root)
    growth, label = 0.0, method
    if math.isinf(generator.flow_bound) and right > 1e-12 * real:
        top = _extreme(symmetric, SLEPc.EPS.Which.LARGEST_REAL, _GROWTH_TOLERANCE)
        growth = min(max(top, 0.0), right)
        label += ", growth by lanczos"
    if method == "lanczos" and real > 0.0:
        bottom = _extreme(symmetric, SLEPc.EPS.Which.SMALLEST_REAL, _LANCZOS_TOLERANCE)
        real = min(real, _LANCZOS_MARGIN * max(-bottom, 0.0))
        if imag > 0.0:
            imag = min(imag, _LANCZOS_MARGIN * _norm(skew))
    for temporary in (symmetric, skew, root):
        temporary.destroy()
    return NumericalRange(real + growth, imag, generator.flow_bound, growth, label)


def _parts(generator: Generator) -> tuple[PETSc.Mat, PETSc.Mat, PETSc.Vec]:
    """H, S and the diagonal of M^{1/2}."""
    root = generator.vector()
    generator.mass.diagonal.copy(root)
    root.sqrtabs()
    inverse = root.duplicate()
    root.copy(inverse)
    inverse.reciprocal()
    scaled = generator.stiffness.copy()
    scaled.diagonalScale(inverse, inverse)
    transposed = scaled.transpose(PETSc.Mat())
    skew = scaled.copy()
    # equal patterns may still differ in their ghost columns
    structure = PETSc.Mat.Structure.UNKNOWN_NONZERO_PATTERN
    scaled.axpy(1.0, transposed, structure=structure)
    skew.axpy(-1.0, transposed, structure=structure)
    scaled.scale(0.5)
    skew.scale(0.5)
    transposed.destroy()
    inverse.destroy()
    return scaled, skew, root


def _gershgorin(matrix: PETSc.Mat, scaling: PETSc.Vec) -> tuple[float, float]:
    """Bounds of |λ| and of Re λ from above for a normal matrix."""
    start, columns, values = matrix.getValuesCSR()
    absolute = matrix.duplicate()
    absolute.setValuesCSR(start, columns, abs(values))
    absolute.assemble()
    d, product, ratio = scaling.copy(), scaling.duplicate(), scaling.duplicate()
    absolute.mult(d, product)
    ratio.pointwiseDivide(product, d)
    bound = max(ratio.max()[1], 0.0)
    # right ends of the discs: the diagonal keeps its sign, h_ii - |h_ii| added to the row sum
    signed, modulus = matrix.getDiagonal(), absolute.getDiagonal()
    ratio.axpy(1.0, signed)
    ratio.axpy(-1.0, modulus)
    right = ratio.max()[1]
    for _ in range(_SWEEPS):
        if bound == 0.0:
            break
        d.axpby(1.0 / bound, 1.0, product)  # d <- d + |H|d/bound stays positive
        d.scale(1.0 / d.max()[1])
        absolute.mult(d, product)
        ratio.pointwiseDivide(product, d)
        bound = min(bound, ratio.max()[1])
    for temporary in (absolute, d, product, ratio, signed, modulus):
        temporary.destroy()
    return bound, right


def _extreme(matrix: PETSc.Mat, which: SLEPc.EPS.Which, tolerance: float) -> float:
    """An extreme eigenvalue of a symmetric matrix, moved outwards by its residual."""
    eps = SLEPc.EPS().create(matrix.comm)
    eps.setOptionsPrefix("advdiff_faber_range_")
    eps.setOperators(matrix)
    eps.setProblemType(SLEPc.EPS.ProblemType.HEP)
    eps.setWhichEigenpairs(which)
    eps.setConvergenceTest(SLEPc.EPS.Conv.NORM)
    eps.setTolerances(tolerance, 1000)
    eps.setFromOptions()
    eps.solve()
    if eps.getConverged() < 1:
        raise RuntimeError("Lanczos found no extreme eigenvalue of the symmetric part")
    value = eps.getEigenvalue(0).real
    residual = eps.computeError(0, SLEPc.EPS.ErrorType.ABSOLUTE)
    eps.destroy()
    return value + residual if which == SLEPc.EPS.Which.LARGEST_REAL else value - residual


def _norm(matrix: PETSc.Mat) -> float:
    """The 2-norm of a matrix, moved outwards by its residual."""
    svd = SLEPc.SVD().create(matrix.comm)
    svd.setOptionsPrefix("advdiff_faber_range_")
    svd.setOperators(matrix)
    svd.setTolerances(_LANCZOS_TOLERANCE, 1000)
    svd.setFromOptions()
    svd.solve()
    if svd.getConverged() < 1:
        raise RuntimeError("Lanczos found no singular value of the skew part")
    value = svd.getValue(0) + svd.computeError(0, SLEPc.SVD.ErrorType.ABSOLUTE)
    svd.destroy()
    return value
