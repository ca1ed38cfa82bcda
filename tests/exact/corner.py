"""The singular solution at a re-entrant corner."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.exact.case import Case

MESHES = Path(__file__).parents[2] / "meshes"
OUTLINE = {
    "reentrant": [((0, -1), (0, 0)), ((0, 0), (1, 0))],
    "outer": [
        ((1, 0), (1, 1)),
        ((1, 1), (-1, 1)),
        ((-1, 1), (-1, -1)),
        ((-1, -1), (0, -1)),
    ],
}
SINGULAR = "(x**2+y**2)**(1/3)*sin(pi/2+2/3*atan2(-x-y,y-x))"
"""r^{2/3} sin(2φ/3), φ from the positive x axis; the cut is in the quadrant that is missing."""


def lshape() -> Case:
    """r^{2/3} sin(2φ/3) + e^{λt} sin πx sin πy / 10 on the L-shape, ∂/∂κ; of order 4/3 only.

    The first is harmonic and stays for ever, held by its values on the outer edges.  Its gradient
    is not bounded: on meshes of one size the L² error falls as h^{4/3} for every degree.
    """
    kappa = 0.05

    def wave(x, t):
        decay = np.exp(-2 * np.pi**2 * kappa * t)
        return 0.1 * decay * np.sin(np.pi * x[0]) * np.sin(np.pi * x[1])

    def singular(x):
        angle = np.pi / 2 + 2 / 3 * np.arctan2(-x[0] - x[1], x[1] - x[0])
        return np.cbrt(x[0] ** 2 + x[1] ** 2) * np.sin(angle)

    def mesh(n: int, cell: str) -> dict:
        name = "lshape_quads.geo" if cell == "quadrilateral" else "lshape.geo"
        return {"file": str(MESHES / name), "mesh_size": 1.0 / n}

    return Case(
        {
            "domain": {"shape": "gmsh"},
            "physics": {
                "diffusivity": kappa,
                "initial": f"{SINGULAR} + 0.1*sin(pi*x)*sin(pi*y)",
                "dirichlet": {"reentrant": 0.0, "outer": SINGULAR},
            },
            "time": {"final": 0.5, "outputs": 1},
        },
        lambda x, t: singular(x) + wave(x, t),
        {"diffusivity": 1.0},
        lambda x, t: -2 * np.pi**2 * t * wave(x, t),
        coarse=16,
        regularity=4 / 3,
        mesh=mesh,
        outline=OUTLINE,
        inside=lambda x: ((x[0] < 0) | (x[1] > 0)) & (np.hypot(x[0], x[1]) > 0.2),
    )
