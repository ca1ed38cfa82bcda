"""Does an exact solution solve the equation that its experiment states?

Everything is taken from the tables of the experiment, as a user would write them, and every
derivative by central differences of order 8 at random points: no formula of the solver, none of the
case.  For ρ the same equations are differentiated by hand once, here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from advdiff.config.expression import Expression
from tests.exact.case import SIDES, Case

STEP = 4e-3
FIRST = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
SECOND = np.array([-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560])
POINTS = 200

Field = Callable[[np.ndarray], np.ndarray]


class Residual(NamedTuple):
    """What is left of an equation, over the sum of the sizes of its terms; for θ and for ρ."""

    where: str
    theta: float
    rho: float


def _field(value) -> Field:
    """A scalar of an experiment file."""
    if isinstance(value, str):
        return Expression(value)
    return lambda x: np.full(x.shape[1:], 0.0 if value is None else float(value))


def _shifted(x: np.ndarray, axis: int, shift: float) -> np.ndarray:
    moved = x.copy()
    moved[axis] += shift
    return moved


def _along(f: Field, x: np.ndarray, axis: int, weights: np.ndarray) -> np.ndarray:
    values = [
        w * f(_shifted(x, axis, i * STEP)) for i, w in zip(range(-4, 5), weights, strict=True)
    ]
    return sum(values) / STEP ** (1 if weights is FIRST else 2)


def _gradient(f: Field, x: np.ndarray, dim: int) -> np.ndarray:
    return np.stack([_along(f, x, axis, FIRST) for axis in range(dim)])


def _vector(value, dim: int) -> Field:
    """A velocity of an experiment file: components, a stream function, or none."""
    if isinstance(value, dict):
        stream = _field(value["stream"])
        return lambda x: np.stack([_along(stream, x, 1, FIRST), -_along(stream, x, 0, FIRST)])
    parts = [_field(part) for part in (value or [0.0] * dim)]
    return lambda x: np.stack([part(x) for part in parts])


class Equation:
    """The equation of an experiment, and what a direction changes in it."""

    def __init__(self, case: Case):
        physics, direction = case.tables["physics"], case.direction
        self.case, self.dim, self.physics = case, case.dim, physics
        self.kappa, self.source = _field(physics["diffusivity"]), _field(physics.get("source"))
        self.velocity = _vector(physics.get("velocity"), self.dim)
        self.d_kappa = _field(direction.get("diffusivity"))
        self.d_velocity = _vector(direction.get("velocity"), self.dim)

    def transport(self, f: Field, kappa: Field, velocity: Field, x: np.ndarray) -> list[np.ndarray]:
        """The terms of ∇·(κ∇f) − u·∇f."""
        slope, d_kappa = _gradient(f, x, self.dim), _gradient(kappa, x, self.dim)
        curvature = sum(_along(f, x, axis, SECOND) for axis in range(self.dim))
        return [
            kappa(x) * curvature,
            np.sum(d_kappa * slope, axis=0),
            -np.sum(velocity(x) * slope, axis=0),
        ]

    def inside(self, x: np.ndarray, t: float) -> Residual:
        """∂θ/∂t = ∇·(κ∇θ) − u·∇θ + f, and its derivative."""
        theta, rho = (lambda y: self.case.theta(y, t)), (lambda y: self.case.rho(y, t))
        old = [-self._rate(self.case.theta, x, t), self.source(x)]
        old += self.transport(theta, self.kappa, self.velocity, x)
        new = [-self._rate(self.case.rho, x, t)]
        new += self.transport(rho, self.kappa, self.velocity, x)
        new += self.transport(theta, self.d_kappa, self.d_velocity, x)
        return Residual("inside", _left(old), _left(new))

    def _rate(self, f, x: np.ndarray, t: float) -> np.ndarray:
        step = 0.01 * t
        values = [w * f(x, t + i * step) for i, w in zip(range(-4, 5), FIRST, strict=True)]
        return sum(values) / step

    def scale(self, f, x: np.ndarray, t: float) -> tuple[float, float]:
        """The sizes of a function and of its flux in the domain."""
        slope = _gradient(lambda y: f(y, t), x, self.dim)
        return np.abs(f(x, t)).max(), np.abs(self.kappa(x) * slope).max()

    def part(self, name: str, x: np.ndarray, normal: np.ndarray, t: float, scales) -> Residual:
        """The condition on a boundary part, and its derivative, over what is inside."""
        (size, flow), (d_size, d_flow) = scales
        theta, rho = self.case.theta(x, t), self.case.rho(x, t)
        for kind in ("dirichlet", "inflow", "flux", "robin"):
            if name in self.physics.get(kind, {}):
                data = self.physics[kind][name]
                break
        else:
            kind, data = "natural", 0.0
        if kind == "dirichlet":
            left = _left([theta, -_field(data)(x)], size), _left([rho], d_size)
            return Residual(f"{name} (dirichlet)", *left)
        slope = _gradient(lambda y: self.case.theta(y, t), x, self.dim)
        change = _gradient(lambda y: self.case.rho(y, t), x, self.dim)
        across, d_across = normal @ slope, normal @ change
        old = [self.kappa(x) * across]
        new = [self.kappa(x) * d_across, self.d_kappa(x) * across]
        u_n, d_u_n = normal @ self.velocity(x), normal @ self.d_velocity(x)
        if kind == "inflow":
            enters = np.where(u_n < 0, 1.0, 0.0)
            old += [-enters * u_n * theta, enters * u_n * _field(data)(x)]
            new += [-enters * u_n * rho, -enters * d_u_n * (theta - _field(data)(x))]
        elif kind == "robin":
            alpha, outside = _field(data["coefficient"])(x), _field(data["exterior"])(x)
            old += [alpha * theta, -alpha * outside]
            new += [alpha * rho]
        else:
            old += [-_field(data)(x)]
        if kind != "inflow" and np.any(u_n < -1e-12):
            raise AssertionError(f"the flow enters through '{name}' without data")
        return Residual(f"{name} ({kind})", _left(old, flow), _left(new, d_flow))

    def start(self, x: np.ndarray) -> Residual:
        """θ at (almost) time 0 is the initial state."""
        tiny = 1e-10 * self.case.final
        written = _field(self.physics.get("initial"))(x)
        return Residual("start", np.abs(self.case.theta(x, tiny) - written).max(), 0.0)

    def period(self, axis: int, x: np.ndarray, t: float) -> Residual:
        """Both ends of a period agree, in value and slope."""
        length = self.case.corners[1][axis] - self.case.corners[0][axis]
        left = []
        for f in (self.case.theta, self.case.rho):

            def at(y, f=f):
                return f(y, t)

            for g in (at, lambda y, at=at: _along(at, y, axis, FIRST)):
                left.append(np.abs(g(x) - g(_shifted(x, axis, length))).max())
        return Residual(f"period {axis}", max(left[:2]), max(left[2:]))


def _left(terms: list[np.ndarray], floor: float = 0.0) -> float:
    size = np.max(np.sum(np.abs(terms), axis=0))
    return float(np.max(np.abs(np.sum(terms, axis=0))) / max(size, floor))


def residuals(case: Case, seed: int = 0) -> list[Residual]:
    """What is left of every equation, at random points and times."""
    rng, equation = np.random.default_rng(seed), Equation(case)
    lower, upper = case.corners
    dim, found = case.dim, []
    x = lower[:, None] + (upper - lower)[:, None] * rng.random((dim, 4 * POINTS))
    x = x[:, case.inside(x)][:, :POINTS]
    found.append(equation.start(x))
    for t in case.final * rng.uniform(0.4, 1.0, 3):
        found.append(equation.inside(x, t))
        for axis, name in enumerate("xyz"[:dim]):
            if name in case.tables["domain"].get("periodic", []):
                found.append(equation.period(axis, x, t))
        scales = [equation.scale(f, x, t) for f in (case.theta, case.rho)]
        for name, y, normal in _boundary(case, rng):
            found.append(equation.part(name, y, normal, t, scales))
    return found


def _boundary(case: Case, rng: np.random.Generator):
    """(part, points, outward normal) of every edge or side."""
    lower, upper = case.corners
    for name, edges in case.outline.items():
        for a, b in edges:
            a, b = np.array(a, dtype=float), np.array(b, dtype=float)
            normal = np.array([b[1] - a[1], a[0] - b[0]]) / np.linalg.norm(b - a)
            yield name, a[:, None] + (b - a)[:, None] * rng.random(POINTS), normal
    if case.outline:
        return
    for axis in range(case.dim):
        if "xyz"[axis] in case.tables["domain"].get("periodic", []):
            continue
        for end, bound in enumerate((lower, upper)):
            y = lower[:, None] + (upper - lower)[:, None] * rng.random((case.dim, POINTS))
            y[axis] = bound[axis]
            yield SIDES[2 * axis + end], y, (2 * end - 1.0) * np.eye(case.dim)[axis]
