"""Solutions on the whole plane and the half line, cut where nothing of them is left."""

from __future__ import annotations

import numpy as np
from scipy.special import erfc, erfcx

from tests.exact.case import Case, sides


def rotating_gaussian(kappa: float = 1e-3) -> Case:
    """u = ω(−y, x): the Gaussian makes a quarter turn; ∂θ/∂ω = −t (−y, x)·∇θ.

    The flow crosses every side of the square, so every side needs inflow data.
    """
    start, centre = 0.02, np.array([0.0, 0.3])

    def place(x, t):
        c, s = np.cos(t), np.sin(t)
        middle = np.array([[c, -s], [s, c]]) @ centre
        return x[0] - middle[0], x[1] - middle[1], start + 4 * kappa * t

    def theta(x, t):
        dx, dy, width = place(x, t)
        return start / width * np.exp(-(dx**2 + dy**2) / width)

    def rho(x, t):
        dx, dy, width = place(x, t)
        return -t * (-2 / width) * (-x[1] * dx + x[0] * dy) * theta(x, t)

    return Case(
        {
            "domain": {"shape": "rectangle", "lower": [-1, -1], "upper": [1, 1]},
            "physics": {
                "diffusivity": kappa,
                "velocity": ["-y", "x"],
                "initial": f"exp(-(x**2 + (y-0.3)**2)/{start})",
                "inflow": dict.fromkeys(sides(2), 0.0),
            },
            "time": {"final": np.pi / 2, "outputs": 1},
        },
        theta,
        {"velocity": ["-y", "x"]},
        rho,
        coarse=32,
        tail=1e-6,
    )


def ogata_banks() -> Case:
    """θ(0, t) = 1 upstream of a clean half line: Ogata and Banks (1961), differentiated in u.

    The start jumps at the boundary; that costs higher degrees some of their order.
    """
    kappa, u = 0.02, 0.5

    def fronts(x, t):
        s = 2 * np.sqrt(kappa * t)
        return (x[0] - u * t) / s, (x[0] + u * t) / s

    def theta(x, t):
        a, b = fronts(x, t)
        return 0.5 * (erfc(a) + np.exp(-(a**2)) * erfcx(b))

    def rho(x, t):
        if t == 0.0:
            return np.zeros(x.shape[1])
        a, b = fronts(x, t)
        return 0.5 * x[0] / kappa * np.exp(-(a**2)) * erfcx(b)

    return Case(
        {
            "domain": {"shape": "interval", "upper": [3.0]},
            "physics": {
                "diffusivity": kappa,
                "velocity": [u],
                "initial": 0.0,
                "dirichlet": {"left": 1.0},
            },
            "time": {"final": 1.0, "outputs": 1},
        },
        theta,
        {"velocity": [1.0]},
        rho,
        coarse=22,
        regularity=2.5,
    )
