"""``method = "auto"``: the Faber recurrence or shift-invert, by predicted cost.

Products against solves, from sizes and bounds alone.  No clock is read, so that one file leads to
one choice on every machine and any number of ranks.  (Across ranks the bounds agree to rounding:
only a tie within that could be decided differently.)

* Faber needs a diagonal mass.  Its number of products is known beforehand: the expansion on the
  ellipse for these times and this tolerance.
* Shift-invert needs m solves: for gradients the dimension of the rational filter (of each, with a
  factorisation, where times over many decades have several), for values a fit to what the Krylov
  process was measured to take on smooth states.  A factorisation by nested
  dissection has about n log n entries and costs n^{3/2} in two dimensions, n^{4/3} and n² in three.

Costs are nanoseconds of the machine where ``scripts/bench`` calibrated them; only their ratios
count, and those are much the same elsewhere.  SLEPc's MFN was slower than one of the two in every
row of the benchmark; ``krylov`` takes much the same time, and is there for who asks by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.algebra.numerical_range import NumericalRange, bounds
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.faber.ellipse import Ellipse, expand, predicted_terms, search
from advdiff.semigroup.faber.layout import laid_out
from advdiff.semigroup.rational.groups import design_groups

# Nanoseconds.  A product, an entry of K; a vector added to another, an entry; a sampled product of
# two vectors on the pattern, an entry of K with its share of packing.
PRODUCT = 0.6
AXPY = 0.35
PAIR = 1.0
# The compiled recurrence with its sums and pairs, over PETSc's, by how the matrix is laid out.
COMPILED = {"diagonals, 2-D": 0.25, "diagonals, 3-D": 0.5, "rows": 0.6}
# Sharp bounds of the numerical range, an entry of K; the share of the products that they save.
BOUNDS = 85.0
SHARPER = 0.1
# A triangular solve, an entry of the factors, and the factor by which the transposed one is slower.
SOLVE = 1.6
TRANSPOSED = 2.2
# Entries of the factors and nanoseconds of a factorisation, by dimension of the mesh.
FILL = {2: lambda n: n * max(8.0 * math.log2(n) - 49.0, 7.0), 3: lambda n: 18.0 * n ** (4.0 / 3.0)}
FACTOR = {2: lambda n: 24.0 * n**1.5, 3: lambda n: 7.0 * n**2}
# Rows of P1 (and P2) matrices have fewer entries than this in two dimensions.
_ROW = 13.0
_MEMORY = 2.0**30  # the tape of Faber, see FaberOptions
_COUNTED = 10**9
_REMEMBERED = 1000
_HOPELESS = 4.0  # times the rival's cost: not worth the expansion's exact count
_UNKNOWN_STRENGTH = 1e3  # P·T where P is infinite


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        method: "faber" or "shift-invert".
        reason: one sentence.
        predicted: counts and costs by name, plain numbers fit for HDF5 attributes: ``products``
            and ``faber_cost`` where the mass is diagonal, ``solves`` and ``shift_invert_cost``
            (both costs in nanoseconds of the machine of the calibration).
        ellipse: for ``FaberEngine``, which takes the predicted number of
            products with it and need not search for one; None for shift-invert.
    """

    method: str
    reason: str
    predicted: dict[str, float]
    ellipse: Ellipse | None = None

    @property
    def arguments(self) -> dict[str, Ellipse]:
        """What was found on the way, for the constructor of the engine."""
        return {} if self.ellipse is None else {"ellipse": self.ellipse}


def choose(
    generator: Generator,
    times: Sequence[float],
    tolerance: float,
    *,
    gradient: bool = False,
    dimension: int | None = None,
) -> Choice:
    """The engine with the smaller predicted cost (collective).

    Args:
        times: 0 < t_1 < … < t_K.
        gradient: choose for value and gradient together, not for values alone.
        dimension: of the mesh; None: the generator's or, where that is unknown, by the number of
            entries a row of K.
    """
    times = tuple(float(time) for time in times)
    region = _quick_bounds(generator) if _is_quick(generator) else None
    key = (region and region.rounded(), times, tolerance, gradient, dimension)
    known = generator.made.setdefault("choices", {})
    if region is None or key not in known:
        choice, is_quick = _chosen(generator, times, tolerance, gradient, dimension, region)
        if not (is_quick and gradient):  # solves for values go by K itself
            return choice
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = choice
    return known[key]


def _is_quick(generator: Generator) -> bool:
    """Whether quick bounds are worth a try."""
    return generator.mass.is_diagonal and math.isfinite(generator.flow_bound)


def _chosen(
    generator: Generator,
    times: tuple[float, ...],
    tolerance: float,
    gradient: bool,
    dimension: int | None,
    quick: NumericalRange | None,
) -> tuple[Choice, bool]:
    """The choice, and whether nothing but the rounded quick bounds entered (collective)."""
    size = generator.size
    entries = float(generator.stiffness.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"])
    dimension = dimension or generator.dimension
    if dimension is None:
        dimension = 2 if entries < _ROW * size else 3
    dimension = max(dimension, 2)
    sweeps = _solves(generator, times, tolerance, gradient, dimension)
    solves = sum(sweeps)
    predicted = {"solves": solves} if math.isfinite(solves) else {}
    predicted["shift_invert_cost"] = sum(
        _solve_cost(one, size, entries, dimension, gradient) for one in sweeps
    )
    if not generator.mass.is_diagonal:
        reason = f"the mass is not diagonal, about {solves:.0f} solves are predicted"
        return Choice("shift-invert", reason, predicted), False
    try:
        ellipse, products, cost, is_quick = _recurrence(
            generator, times, tolerance, entries, gradient, predicted["shift_invert_cost"], quick
        )
    except ConvergenceError as error:
        return Choice("shift-invert", f"no Faber recurrence: {error}", predicted), False
    # an integer beyond 64 bits has no place in a file
    counted = products if products < _COUNTED else float(products)
    predicted |= {"products": counted, "faber_cost": cost}
    reason = (
        f"{counted:.10g} products of {entries:.3g} entries should cost {cost * 1e-9:.2g} units, "
    )
    if math.isfinite(solves):
        price = predicted["shift_invert_cost"] * 1e-9
        reason += f"a factorisation and {solves:.0f} solves {price:.2g}"
    else:
        reason += "and for solves no filter will do"
    if cost <= predicted["shift_invert_cost"]:
        return Choice("faber", reason, predicted, ellipse), is_quick
    return Choice("shift-invert", reason, predicted), is_quick


def _recurrence(
    generator: Generator,
    times: tuple[float, ...],
    tolerance: float,
    entries: float,
    gradient: bool,
    rival: float,
    quick: NumericalRange | None,
) -> tuple[Ellipse, int, float, bool]:
    """Ellipse, number of products, their cost, and whether that is all from quick bounds: where
    sharp ones would cost more than they save, or not bring the cost below the rival's.

    Raises:
        ValueError: the tolerance is below what rounding allows.
    """

    def tried(region: NumericalRange) -> tuple[Ellipse, int, float]:
        ellipse = search(region.rounded(), times[-1], tolerance)
        least = predicted_terms(ellipse, times[-1], tolerance)
        terms = np.full(len(times), math.ceil(least))
        share = min(COMPILED.values())
        if share * least * PRODUCT * entries < _HOPELESS * rival:
            terms, share = expand(ellipse, times, tolerance).terms, _compiled_share(generator)
        products, cost = _product_cost(terms, generator.size, entries, gradient)
        return ellipse, products, share * cost

    if quick is not None:
        found = tried(quick)
        saved = SHARPER * found[2]
        if saved <= BOUNDS * entries or found[2] - 2.0 * saved > rival:
            return *found, True
    return *tried(bounds(generator)), False


def _compiled_share(generator: Generator) -> float:
    """Cost of the recurrence as it will be made, over PETSc's (collective)."""
    layout = laid_out(generator)
    if (
        isinstance(layout, str)
        or PETSc.Options("advdiff_faber_").getString("backend", "") == "petsc"
    ):
        return 1.0
    dimension = min(generator.dimension or 2, 3)
    share = COMPILED[f"diagonals, {max(dimension, 2)}-D" if layout.diagonals else "rows"]
    return generator.comm.allreduce(share, MPI.MAX)


def _quick_bounds(generator: Generator) -> NumericalRange:
    """Row sums of the symmetric and of the skew part, which bound their spectra (collective)."""
    stiffness, unknown = generator.stiffness, PETSc.Mat.Structure.UNKNOWN_NONZERO_PATTERN
    transposed = stiffness.transpose(PETSc.Mat())
    sums = []
    for sign in (1.0, -1.0):
        part = stiffness.copy()
        part.axpy(sign, transposed, structure=unknown)
        part.diagonalScale(generator.mass.inverse)
        sums.append(0.5 * part.norm(PETSc.NormType.NORM_INFINITY))
        part.destroy()
    transposed.destroy()
    if not math.isfinite(sum(sums)):
        raise ValueError("the stiffness matrix has entries that are not finite")
    return NumericalRange(*sums, generator.flow_bound, method="row sums")


def _product_cost(terms, size: int, entries: float, gradient: bool) -> tuple[int, float]:
    """Number of products, and cost of all; m is known from the expansion."""
    last, sums = int(terms.max()), float((terms + 1).sum())
    sweep = last * (PRODUCT * entries + 3.0 * AXPY * size) + sums * AXPY * size
    if not gradient:
        return last, sweep
    kept = 8.0 * size * (last + 1) <= _MEMORY
    sweeps = 2 if kept else 3
    return sweeps * last, sweeps * sweep + last * PAIR * entries


def _solve_cost(solves: float, size: int, entries: float, dimension: int, gradient: bool) -> float:
    """Factorisation, solves, and the projections that grow with every vector."""
    factor, solve = FACTOR[dimension](size), SOLVE * FILL[dimension](size)
    projections = solves**2 * AXPY * size
    if not gradient:
        return factor + solves * solve + 2.0 * projections
    pairs = solves * PAIR * entries
    return factor + solves * (1.0 + TRANSPOSED) * solve + 3.0 * projections + pairs


def _solves(
    generator: Generator,
    times: tuple[float, ...],
    tolerance: float,
    gradient: bool,
    dimension: int,
) -> list[float]:
    """Predicted m of every factorisation; infinite where no filters by design will do, and the
    recurrence can."""
    flow, final, digits = generator.flow_bound, times[-1], -math.log10(tolerance)
    if gradient and math.isfinite(flow):
        try:
            return [float(found.dimension) for found in design_groups(flow, times, tolerance)]
        except ConvergenceError:
            if generator.mass.is_diagonal:
                return [math.inf]  # a learned one has no bound, the recurrence has
    if math.isinf(flow):
        flow = _UNKNOWN_STRENGTH / final
    # with P = |u|²/κ: how many widths of the domain the flow covers
    cells = generator.size ** (1.0 / dimension)
    turns = final * math.sqrt(flow * _diffusion(generator, dimension)) / cells
    smooth = digits * (2.0 + min(turns, 3.0) * math.log10(1.0 + flow * final))
    # a filter for this probe is learned by as many solves again, and two digits beyond
    return [float(math.ceil(smooth * (2.0 if gradient else 1.0)))]


def _diffusion(generator: Generator, dimension: int) -> float:
    """κ/h², from the mean diagonal of A, where the skew part has nothing."""
    mass = generator.mass
    ratio, diagonal = generator.stiffness.getDiagonal(), mass.diagonal
    if diagonal is None:
        diagonal = mass.matrix.getDiagonal()
    ratio.pointwiseDivide(ratio, diagonal)
    value = abs(ratio.sum()) / generator.size / (2.0 * dimension)
    ratio.destroy()
    return value
