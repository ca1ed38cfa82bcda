"""A computable, rigorous bound on the 2-norm error of a surrogate, for irreducible rate matrices.

Two kinds of *references* have an error known in advance, because the exponentials merge in

    ∇_J e^{tQ} − e^{tQ} Σ_{k≤n} t^{k+1}/(k+1)! (−ad_Q)^k J
        = ∫₀ᵗ (t−r)^{n+1}/(n+1)! e^{(t−r)Q} C_{n+1} e^{rQ} dr,      C_k = (−ad_Q)^k J:

the partial sums of the commutator series themselves, and kernel-exact, which uses them only on the
complement of the kernel, where e^{tQ} decays (order −1: no term, C_0 = J on the complement). Then

    ‖error of a surrogate‖ ≤ ‖surrogate − reference‖ + ‖remainder of the reference‖ + round-off,

and the smallest of these over references and norms is the certificate. On the complement, WP =
I − Π and PW = I, e^{tQ}(I − Π) = W e^{tB} P with B = P Q W, and ‖e^{tB}‖₂ ≤ e^{μt}, μ the largest
eigenvalue of (B + B*)/2 (log-norm): one theorem, with a choice of the basis W.

    poincare    W orthonormal with the weights π: −μ is the Poincaré constant of the chain, > 0 for
                every irreducible Q, and equal to the gap for a reversible one (there C₁ = 1 in the
                weighted norm). ‖W‖‖P‖ = √(max π / min π).
    eigenbasis  W of eigenvectors: −μ is the gap to rounding (measured, not assumed), and
                ‖W‖‖P‖ plays the part of cond(V).
    log-norm    W orthonormal: −μ may be negative for a far from normal Q; ‖W‖‖P‖ = ‖I − Π‖₂.
    stochastic  on the whole space in the ∞-norm: ‖e^{tQ}‖_∞ = 1, no decay, ‖·‖₂ ≤ √d ‖·‖_∞.

All four hold for every irreducible rate matrix (eigenbasis: where the eigenvectors are
independent); the certificate says which one gave the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import null_space

from advdiff.matexp.group import group_inverse, is_irreducible, is_rate_matrix, kernel_projector
from advdiff.matexp.methods import METHODS
from advdiff.matexp.operands import EPS, Array, DomainError, commutator, real_matrix, stacks, times
from advdiff.matexp.rates.rates import complement
from advdiff.matexp.series import exponential_and_integral
from advdiff.matexp.spectral import MAX_CONDITION, eigenbasis

#: highest order of the references tried
MAX_ORDER = 3
#: a norm in which e^{tQ} grows by more than the exponential of this is not tried
LARGEST_GROWTH = 50.0
#: see `_roundoff`
ROUNDOFF_ULPS = 8.0


class DecayNorm(NamedTuple):
    """‖e^{tQ}(I − Π)‖₂ ≤ constant·e^{−rate·t}: log-norm in the basis W (PW = I)."""

    name: str
    W: Array
    P: Array
    rate: float
    constant: float


class Certificate(NamedTuple):
    """``bound`` ≥ ‖method − ∇_J e^{tQ}‖₂, shape of t, and how it came about.

    ``hypothesis`` (poincare, eigenbasis, log-norm, stochastic) and ``reference``
    (commutator-series or kernel-exact, with its order) gave the bound; ``rate`` and ``constant``
    are those of the hypothesis in ‖e^{tQ} − Π‖₂ ≤ constant·e^{−rate·t}; ``roundoff`` is the part
    of ``bound`` that allows for rounding. Arrays of the shape of t.
    """

    bound: Array
    hypothesis: Array
    reference: Array
    rate: Array
    constant: Array
    roundoff: Array


def decay_norms(Q: ArrayLike) -> tuple[DecayNorm, ...]:
    """The hypotheses that hold for one irreducible rate matrix (d, d); DomainError for others."""
    Q = real_matrix("Q", Q)
    if not (is_rate_matrix(Q) and is_irreducible(Q)):
        raise DomainError("a certificate needs an irreducible rate matrix (zero row sums)")
    if len(Q) == 1:
        return ()
    Pi = kernel_projector(Q)
    pi = Pi[0]
    weighted = complement(pi)
    orthonormal = null_space(pi[None, :])
    pairs = {
        "poincare": weighted,
        "log-norm": (orthonormal, orthonormal.T @ (np.eye(len(Q)) - Pi)),
    }
    W, P = weighted
    basis = eigenbasis(P @ Q @ W)
    if basis.condition <= MAX_CONDITION:
        pairs["eigenbasis"] = (W @ basis.vectors, basis.inverse @ P)
    norms = []
    for name, (W, P) in pairs.items():
        B = P @ Q @ W
        slack = ROUNDOFF_ULPS * len(Q) * EPS * np.linalg.norm(np.abs(P) @ np.abs(Q) @ np.abs(W))
        mu = np.linalg.eigvalsh((B + B.conj().T) / 2)[-1] + slack
        norms.append(DecayNorm(name, W, P, -float(mu), _norm2(W) * _norm2(P)))
    return tuple(norms)


def certificate(
    Q: ArrayLike, J: ArrayLike, t: ArrayLike = 1.0, method: str = "asymptotic", **options: int
) -> Certificate:
    """A bound on the error ‖method(Q, J, t) − ∇_J e^{tQ}‖₂ that no rounding is left out of.

    ``Q`` one irreducible rate matrix (d, d), ``J`` one real matrix (d, d), ``t`` ≥ 0 of any shape;
    ``method`` any method of `derivative` (meant for the surrogates), ``options`` its options.
    Raises DomainError for other Q, ValueError for negative t.

    The hypotheses and the theorem are in the module's text. Round-off, see `_roundoff`, is a
    first-order a priori allowance; everything else is an inequality.

    >>> import numpy as np
    >>> from advdiff.matexp import derivative
    >>> Q = np.array([[-1.0, 1.0], [2.0, -2.0]])
    >>> J = np.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> found = certificate(Q, J, t=2.0, method="midpoint")
    >>> str(found.hypothesis), str(found.reference)
    ('poincare', 'kernel-exact 0')
    >>> error = derivative(Q, J, 2.0, "midpoint") - derivative(Q, J, 2.0)
    >>> bool(np.linalg.norm(error, 2) <= found.bound)
    True
    """
    return certificates(Q, J, t, (method,), **options)[method]


def certificates(
    Q: ArrayLike, J: ArrayLike, t: ArrayLike, methods: Sequence[str], **options: int
) -> dict[str, Certificate]:
    """`certificate` for several methods, which share all that is dear."""
    Q, J, t = real_matrix("Q", Q), real_matrix("J", J), times("t", t)
    if (t < 0).any():
        raise ValueError("a certificate needs t >= 0")
    stacks(Q, J, t)
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    remainders = _remainders(Q, J, decay_norms(Q))
    inverse = group_inverse(Q) if "asymptotic" in methods else None
    found: dict[str, list[Certificate]] = {method: [] for method in methods}
    for s in t.ravel():
        references = _references(Q, J, s, remainders)
        for method in methods:
            value = METHODS[method].run(Q, J, np.array(s)[..., None, None], **options).value
            base = _roundoff(Q, J, inverse if method == "asymptotic" else None, s)
            found[method].append(_best(value, references, base))
    return {
        method: Certificate(
            *(np.array(part).reshape(t.shape)[()] for part in zip(*best, strict=True))
        )
        for method, best in found.items()
    }


class _Tail(NamedTuple):
    """A remainder is at most moment·size·e^{−rate·t}, by this hypothesis with its constant."""

    hypothesis: str
    rate: float
    constant: float
    size: float


class _Remainder(NamedTuple):
    """∫ (t−r)^{n+1}/(n+1)! e^{(t−r)Q} C e^{rQ} dr, C = C_{n+1}, n the order of its reference.

    ``C_noise`` bounds the rounding errors of C, ``C_size`` is its size, both in the ∞-norm.
    """

    family: str
    order: int
    C: Array
    C_size: float
    C_noise: float
    tails: tuple[_Tail, ...]


def _remainders(Q: Array, J: Array, norms: tuple[DecayNorm, ...]) -> list[_Remainder]:
    """Those of the references, orders −1 … `MAX_ORDER`: all of them that does not depend on t."""
    outside = np.eye(len(Q)) - kernel_projector(Q)
    root = np.sqrt(len(Q))  # ‖·‖₂ ≤ √d ‖·‖_∞
    found = []
    for family, C, known in (
        ("commutator-series", J, ()),
        ("kernel-exact", outside @ J @ outside, norms),
    ):
        noise = 4 * _unit(Q) * _norm_inf(J)  # ‖I − Π‖_∞ ≤ 2, on both sides
        for order in range(-1, MAX_ORDER + 1):
            size = _norm_inf(C)
            tails = [_Tail("stochastic", 0.0, root, root * (size + noise))]
            for norm in known:
                inner = _norm2(norm.P @ C @ norm.W) + norm.constant * root * noise
                tails.append(_Tail(norm.name, norm.rate, norm.constant, norm.constant * inner))
            found.append(_Remainder(family, order, C, size, noise, tuple(tails)))
            noise = 2 * _norm_inf(Q) * (noise + _unit(Q) * size)
            C = commutator(C, Q)
    return found


class _Reference(NamedTuple):
    """A matrix whose distance to the derivative is at most ``remainder``, by the ``tail``.

    ``noise`` bounds the rounding errors of the matrix in the ∞-norm.
    """

    name: str
    matrix: Array
    noise: float
    remainder: float
    tail: _Tail


def _references(Q: Array, J: Array, t: float, remainders: list[_Remainder]) -> list[_Reference]:
    """Partial sums of the commutator series, and kernel-exact, of orders −1 … `MAX_ORDER`."""
    Pi = kernel_projector(Q)
    outside = np.eye(len(Q)) - Pi
    X, S = exponential_and_integral(Q, np.array(t))
    flow = outside @ S
    starts = {
        "commutator-series": (X, np.zeros_like(Q)),
        "kernel-exact": (
            outside @ X,
            t * (Pi @ J @ Pi) + Pi @ J @ flow + flow @ J @ Pi,
        ),
    }
    found = []
    for family, order, C, size, C_noise, tails in remainders:
        if order == -1:
            (flow, matrix), noise = starts[family], 0.0
        moment = t ** (order + 2) / factorial(order + 2)
        bounds = [
            (moment * tail.size * np.exp(-tail.rate * t), tail)
            for tail in tails
            if -tail.rate * t <= LARGEST_GROWTH
        ]
        remainder, tail = min(bounds, key=lambda bound: bound[0])
        found.append(_Reference(f"{family} {order}", matrix, noise, remainder, tail))
        if order < MAX_ORDER:
            matrix = matrix + moment * (flow @ C)
            noise += moment * (C_noise + _unit(Q) * (1 + t * _norm_inf(Q)) * size)
    return found


def _best(value: Array, references: list[_Reference], base: float) -> Certificate:
    """The smallest bound on the error of ``value``, with the round-off ``base`` of its own."""
    root = np.sqrt(len(value))
    candidates = []
    for reference in references:
        roundoff = base + root * reference.noise
        difference, rest = value - reference.matrix, roundoff + reference.remainder
        # ‖·‖_F ≤ √d ‖·‖₂: most are out before their 2-norm is asked for
        candidates.append(
            (np.linalg.norm(difference) / root + rest, difference, rest, roundoff, reference)
        )
    best = None
    for least, difference, rest, roundoff, reference in sorted(candidates, key=lambda c: c[0]):
        if best is not None and least > best.bound:
            break
        bound, tail = _norm2(difference) + rest, reference.tail
        if best is None or bound < best.bound:
            best = Certificate(
                bound, tail.hypothesis, reference.name, tail.rate, tail.constant, roundoff
            )
    return best


def _unit(Q: Array) -> float:
    return ROUNDOFF_ULPS * len(Q) * EPS


def _roundoff(Q: Array, J: Array, G: Array | None, t: float) -> float:
    """Allowance for rounding: u√d‖J‖ (t + ‖Q‖(t + ‖Q^#‖)²), u = `ROUNDOFF_ULPS`·d·eps, ∞-norms.

    Why: what is computed is exact for data perturbed by δQ and δJ of about u relative. In the
    ∞-norm ‖e^{tQ}‖ = 1, so the derivative and the references move by at most t‖δJ‖ + t²‖δQ‖‖J‖,
    whatever the conditioning (π has small relative errors entry by entry). Only asymptotic uses
    Q^#, which moves by ‖Q^#‖²‖δQ‖ to first order; elsewhere that term is absent. √d turns the
    ∞-norm into the 2-norm.
    """
    inverse = _norm_inf(G) if G is not None else 0.0
    size = t + _norm_inf(Q) * (t + inverse) ** 2
    return _unit(Q) * np.sqrt(len(Q)) * _norm_inf(J) * size


def _norm2(A: Array) -> float:
    return float(np.linalg.norm(A, 2))


def _norm_inf(A: Array) -> float:
    return float(np.abs(A).sum(axis=1).max())


class Theorem(NamedTuple):
    """‖asymptotic − ∇_J e^{tQ}‖₂ ≤ (c₀ + c₁t) e^{−gt} ≤ C e^{−κt} (docs/theory.md, § 2)."""

    c0: float
    c1: float
    gap: float

    def bound(self, t: ArrayLike) -> Array:
        """(c₀ + c₁ t) e^{−gt}."""
        t = np.asarray(t)
        return (self.c0 + self.c1 * t) * np.exp(-self.gap * t)

    def constants(self, kappa: float) -> tuple[float, float]:
        """(C, κ) for a chosen 0 < κ < g: C = c₀ + c₁/(e(g − κ)), as x e^{−x} ≤ 1/e."""
        if not 0 < kappa < self.gap:
            raise ValueError(f"kappa must lie in (0, {self.gap:g})")
        return self.c0 + self.c1 / (np.e * (self.gap - kappa)), kappa


def asymptotic_theorem(Q: ArrayLike, J: ArrayLike, hypothesis: str = "poincare") -> Theorem:
    """The theorem's constants for one irreducible rate matrix, with one of `decay_norms`.

    With E = e^{tQ} − Π the error is EJQ^# + ΠJQ^#E + EQ^#JΠ − tEJΠ + ∫₀ᵗ E(t−s) J E(s) ds, so
    c₀ = C₁ (‖ΠJQ^#‖ + ‖Q^#JΠ‖ + ‖(I−Π)JQ^#‖), c₁ = C₁ (‖(I−Π)JΠ‖ + ‖PJW‖), in the 2-norm.
    """
    norm = next((n for n in decay_norms(Q) if n.name == hypothesis), None)
    if norm is None:
        raise DomainError(f"the hypothesis {hypothesis!r} does not hold for this Q")
    Q, J = real_matrix("Q", Q), real_matrix("J", J)
    Pi = kernel_projector(Q)
    G = group_inverse(Q, Pi)
    C = norm.constant
    outside = np.eye(len(Q)) - Pi
    # E commutes with Q^#: Q^#EJΠ = E Q^#JΠ
    c0 = C * (_norm2(Pi @ J @ G) + _norm2(G @ J @ Pi) + _norm2(outside @ J @ G))
    c1 = C * (_norm2(outside @ J @ Pi) + _norm2(norm.P @ J @ norm.W))
    return Theorem(c0, c1, norm.rate)
