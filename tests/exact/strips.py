"""One-dimensional boundary-value problems with every kind of condition, and products of them.

Along each axis u and κ are constant; θ = w(x) + Π_a e^{λ_a t} φ_a(x_a), where w is the steady
solution along the first axis under its data and a constant source, and φ_a are eigenfunctions under
the homogeneous conditions.  The sides of the other axes carry w as their data.  ρ is the complex
step along κ or a component of u, with source and data held; since the eigenfunctions move, it does
not start at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from tests.exact.case import SIDES, Case, derivative
from tests.exact.torus import SHAPES

NODES = np.linspace(0.05, 30.0, 600)
"""Where the characteristic function is sampled for changes of sign."""


@dataclass(frozen=True)
class Side:
    """A boundary condition: a·κ∂θ/∂n + b·θ = c.

    Attributes:
        kind: ``dirichlet``, ``inflow``, ``flux``, ``robin`` or ``natural``.
        value: of θ, of θ_in, of q, or of the exterior.
        coefficient: α of ``robin``.
    """

    kind: str
    value: float = 0.0
    coefficient: float = 0.0

    def row(self, speed):
        """a, b and c; ``speed`` is u·n."""
        match self.kind:
            case "dirichlet":
                return 0.0, 1.0, self.value
            case "inflow":
                return 1.0, -speed, -speed * self.value
            case "robin":
                return 1.0, self.coefficient, self.coefficient * self.value
        return 1.0, 0.0, self.value

    def entry(self, value):
        """What [physics] says of a part, with data ``value``."""
        if self.kind == "robin":
            return {"coefficient": self.coefficient, "exterior": value}
        return value


@dataclass(frozen=True)
class Axis:
    """The conditions at both ends of (0, 1) and which eigenfunction; or a number of waves."""

    left: Side = Side("natural")
    right: Side = Side("natural")
    index: int = 1
    waves: int = 0

    @property
    def is_periodic(self) -> bool:
        return self.waves > 0


class Mode:
    """e^{λt} φ(x), φ = e^{ux/2κ}(a cos βx + b sin βx), for one axis; κ or u may be complex."""

    def __init__(self, axis: Axis, kappa, speed):
        self.axis, self.speed = axis, speed
        if axis.is_periodic:
            self.beta = 2 * np.pi * axis.waves
            self.rate = -kappa * self.beta**2
            return
        beta = self._root(axis, np.real(kappa), np.real(speed))
        _, slope = self._ends(axis, np.real(kappa), np.real(speed), beta + 1e-30j)
        residual = self._ends(axis, kappa, speed, beta)[1]
        self.beta = beta - residual / (np.imag(slope) / 1e-30)
        (self.a, self.b), _ = self._ends(axis, kappa, speed, self.beta)
        self.growth = speed / (2 * kappa)
        self.rate = -kappa * self.beta**2 - speed**2 / (4 * kappa)

    @staticmethod
    def _ends(axis: Axis, kappa, speed, beta):
        """(a, b) by the left condition, over its size; and the residual of the right one."""
        flux, value, _ = axis.left.row(-speed)
        a, b = flux * kappa * beta, value - 0.5 * flux * speed
        size = np.hypot(abs(np.real(a)), abs(np.real(b)))
        a, b = a / size, b / size
        flux, value, _ = axis.right.row(speed)
        end = a * np.cos(beta) + b * np.sin(beta)
        slope = beta * (b * np.cos(beta) - a * np.sin(beta))
        return (a, b), flux * (kappa * slope + 0.5 * speed * end) + value * end

    @classmethod
    def _root(cls, axis: Axis, kappa: float, speed: float) -> float:
        def characteristic(beta):
            return float(cls._ends(axis, kappa, speed, beta)[1])

        signs = np.sign([characteristic(beta) for beta in NODES])
        at = np.flatnonzero(signs[1:] != signs[:-1])[axis.index - 1]
        return brentq(characteristic, NODES[at], NODES[at + 1], xtol=1e-15, rtol=1e-15)

    def __call__(self, x, t):
        if self.axis.is_periodic:
            return np.exp(self.rate * t) * np.cos(self.beta * (x - self.speed * t))
        wave = self.a * np.cos(self.beta * x) + self.b * np.sin(self.beta * x)
        return np.exp(self.rate * t + self.growth * x) * wave

    def text(self, name: str) -> str:
        """φ as an expression."""
        if self.axis.is_periodic:
            return f"cos({float(self.beta)!r}*{name})"
        growth, beta, a, b = map(float, (self.growth, self.beta, self.a, self.b))
        return f"exp({growth!r}*{name})*({a!r}*cos({beta!r}*{name}) + {b!r}*sin({beta!r}*{name}))"


class Steady:
    """w with κw″ − uw′ + f = 0 on (0, 1) under the conditions of one axis, or w = 0."""

    def __init__(self, axis: Axis, kappa, speed, source: float):
        # w = p(x) + c₁ + c₂ q(x), with p, p′, q and q′ at both ends
        self.speed, self.kappa, self.source = speed, kappa, source
        if axis.is_periodic:
            self.constants = (0.0, 0.0)
            return
        rows = []
        for end, outward, side in ((0.0, -1.0, axis.left), (1.0, 1.0, axis.right)):
            flux, value, data = side.row(outward * speed)
            (p, q), (dp, dq) = self._parts(end), self._slopes(end)
            flux = flux * outward * kappa
            rows.append((value, flux * dq + value * q, data - flux * dp - value * p))
        (a, b, e), (c, d, f) = rows
        det = a * d - b * c
        self.constants = ((e * d - b * f) / det, (a * f - e * c) / det)

    def _parts(self, x):
        if self.speed == 0.0:
            return -self.source * x**2 / (2 * self.kappa), x
        return self.source * x / self.speed, np.exp(self.speed * (x - 1) / self.kappa)

    def _slopes(self, x):
        if self.speed == 0.0:
            return -self.source * x / self.kappa, 1.0
        ratio = self.speed / self.kappa
        return self.source / self.speed, ratio * np.exp(ratio * (x - 1))

    def __call__(self, x):
        p, q = self._parts(x)
        return p + self.constants[0] + self.constants[1] * q

    def text(self) -> str:
        """w as an expression in x."""
        one, two, f = float(self.constants[0]), float(self.constants[1]), self.source
        if self.speed == 0.0:
            return f"{-f / (2 * self.kappa)!r}*x**2 + {one!r} + {two!r}*x"
        u = self.speed
        return f"{f / u!r}*x + {one!r} + {two!r}*exp({u / self.kappa!r}*(x-1))"


def strip(
    axes: Sequence[Axis],
    kappa: float,
    velocity: Sequence[float],
    along: str | int,
    source: float = 0.0,
    coarse: int = 16,
) -> Case:
    """θ = w + Π φ on a box.

    Args:
        along: what to differentiate in: ``"kappa"``, or a component of the velocity.

    Raises:
        ValueError: if w, which the other axes' sides hold as data, would change along it.
    """
    dim, final = len(axes), 0.5
    kinds = [side.kind for axis in axes[1:] for side in (axis.left, axis.right)]
    if along in ("kappa", 0) and set(kinds) - {"natural"}:
        raise ValueError("w moves, and the data of the other sides do not")

    def parts(kappa, velocity):
        modes = [Mode(axis, kappa, u) for axis, u in zip(axes, velocity, strict=True)]
        return Steady(axes[0], kappa, velocity[0], source), modes

    def family(p):
        speeds = list(velocity)
        if along != "kappa":
            speeds[along] = p
        steady, modes = parts(p if along == "kappa" else kappa, speeds)
        return lambda x, t: steady(x[0]) + np.prod([m(x[a], t) for a, m in enumerate(modes)], 0)

    steady, modes = parts(kappa, velocity)
    product = "*".join(mode.text(name) for mode, name in zip(modes, "xyz", strict=False))
    physics = {
        "diffusivity": kappa,
        "velocity": [float(u) for u in velocity],
        "initial": f"{steady.text()} + {product}",
        "source": source,
    }
    for a, axis in enumerate(axes):
        for side, name in ((axis.left, SIDES[2 * a]), (axis.right, SIDES[2 * a + 1])):
            if not axis.is_periodic and side.kind != "natural":
                value = side.value if a == 0 else steady.text()
                physics.setdefault(side.kind, {})[name] = side.entry(value)
    unit = {"diffusivity": 1.0}
    if along != "kappa":
        unit = {"velocity": [float(a == along) for a in range(dim)]}
    periodic = [name for name, axis in zip("xyz", axes, strict=False) if axis.is_periodic]
    at = kappa if along == "kappa" else velocity[along]
    theta = family(at)
    return Case(
        {
            "domain": {"shape": SHAPES[dim]} | ({"periodic": periodic} if periodic else {}),
            "physics": physics,
            "time": {"final": final, "outputs": 1},
        },
        theta,
        unit,
        derivative(family, at),
        coarse=coarse,
    )


def robin_interval() -> Case:
    """Robin at both ends with a source, without a flow."""
    axis = Axis(Side("robin", 1.0, 0.5), Side("robin", -0.5, 0.2), 2)
    return strip([axis], 0.1, [0.0], "kappa", source=0.4)


def robin_outflow() -> Case:
    """Dirichlet upstream, Robin where the flow leaves; closed in y."""
    axis = Axis(Side("dirichlet", 1.0), Side("robin", -0.5, 0.3), 2)
    return strip([axis, Axis()], 0.1, [0.4, 0.0], 0, source=0.4)


def robin_all_sides() -> Case:
    """Robin on three sides, those in y with data that vary along them; it leaves at the top."""
    x = Axis(Side("robin", 1.0, 0.5), Side("robin", -0.5, 0.2), 1)
    y = Axis(Side("dirichlet"), Side("robin", 0.0, 0.4), 1)
    return strip([x, y], 0.1, [0.0, 0.3], 1, source=0.4)


def flux() -> Case:
    """A flux through the left, Dirichlet on the right, carried along y on a cylinder."""
    axis = Axis(Side("flux", 0.3), Side("dirichlet", 1.0), 1)
    return strip([axis, Axis(waves=1)], 0.05, [0.0, 0.6], "kappa", source=-0.2)


def dirichlet() -> Case:
    """Different Dirichlet data on all four sides, oblique flow."""
    x = Axis(Side("dirichlet", 1.0), Side("dirichlet", -0.5), 1)
    y = Axis(Side("dirichlet"), Side("dirichlet"), 2)
    return strip([x, y], 0.1, [0.5, 0.3], 1, source=0.7)


def inflow() -> Case:
    """Danckwerts' condition at the left, free outflow: differentiated in the speed itself."""
    axis = Axis(Side("inflow", 1.0), Side("natural"), 2)
    return strip([axis, Axis()], 0.05, [0.5, 0.0], 0, source=-0.2)


def oblique_inflow() -> Case:
    """Danckwerts' condition on two sides, on one with data that vary; free outflow on two."""
    x = Axis(Side("inflow", 1.0), Side("natural"), 1)
    y = Axis(Side("inflow"), Side("natural"), 1)
    return strip([x, y], 0.05, [0.5, 0.3], 1, source=-0.4)


def everything_in_a_box() -> Case:
    """Inflow and Robin along x, periodic along y, Robin and flux along z."""
    x = Axis(Side("inflow", 1.0), Side("robin", 0.2, 0.3), 1)
    z = Axis(Side("natural"), Side("robin", 0.0, 0.4), 1)
    return strip([x, Axis(waves=1), z], 0.1, [0.5, 0.4, 0.0], 1, source=-0.3, coarse=6)
