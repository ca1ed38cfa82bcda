"""Exact solutions of the equation and of its sensitivities, and how fast we converge to them.

scripts/run python -m tests.exact --help      prints tables of errors and orders
"""

from functools import partial

from tests.exact import corner, fronts, strips, torus, variable
from tests.exact.case import Case, Discretization, Row, degrees, errors, orders
from tests.exact.residual import Residual, residuals

__all__ = [
    "CASES",
    "Case",
    "Discretization",
    "Residual",
    "Row",
    "degrees",
    "errors",
    "orders",
    "residuals",
]

CASES = {
    "torus 1-D": partial(torus.constant_velocity, 1),
    "torus": partial(torus.constant_velocity, 2),
    "torus 3-D": partial(torus.constant_velocity, 3),
    "torus shear": partial(torus.shear_mode, 2),
    "torus shear 3-D": partial(torus.shear_mode, 3),
    "channel shear": torus.channel_shear,
    "cosine": partial(torus.cosine_mode, 2),
    "cosine 3-D": partial(torus.cosine_mode, 3),
    "Gaussian 1e-3": partial(fronts.rotating_gaussian, 1e-3),
    "Gaussian 1e-4": partial(fronts.rotating_gaussian, 1e-4),
    "Ogata-Banks": fronts.ogata_banks,
    "Robin 1-D": strips.robin_interval,
    "Robin outflow": strips.robin_outflow,
    "Robin": strips.robin_all_sides,
    "flux": strips.flux,
    "Dirichlet": strips.dirichlet,
    "inflow": strips.inflow,
    "oblique inflow": strips.oblique_inflow,
    "box": strips.everything_in_a_box,
    "variable diffusivity": variable.euler,
    "cellular": variable.cellular,
    "L-shape": corner.lshape,
}
"""Name → a function without arguments that makes the case."""
