"""Diffusivities and flows that vary in space."""

from __future__ import annotations

import numpy as np

from tests.exact.case import Case, derivative


def euler() -> Case:
    """κ = k(1 + px)² on an interval between Dirichlet values, u = 0, differentiated in p.

    (κφ′)′ = λφ is Euler's equation: with s = 1 + px, φ = sin(β ln s)/√s, β ln(1 + p) = π, and
    λ = −kp²(β² + ¼); the steady part is c₁ + c₂/s.
    """
    k, at, left, right = 0.05, 1.0, 1.0, -0.5

    def constants(p):
        two = (left - right) * (1 + p) / p
        return left - two, two

    def family(p):
        beta = np.pi / np.log(1 + p)
        rate = -k * p**2 * (beta**2 + 0.25)
        one, two = constants(p)

        def theta(x, t):
            s = 1 + p * x[0]
            return one + two / s + np.exp(rate * t) * np.sin(beta * np.log(s)) / np.sqrt(s)

        return theta

    one, two = constants(at)
    wave = f"sin({float(np.pi / np.log(1 + at))!r}*log(1+x))/sqrt(1+x)"
    return Case(
        {
            "domain": {"shape": "interval"},
            "physics": {
                "diffusivity": f"{k}*(1+x)**2",
                "initial": f"{one} + {two}/(1+x) + {wave}",
                "dirichlet": {"left": left, "right": right},
            },
            "time": {"final": 0.5, "outputs": 1},
        },
        family(at),
        {"diffusivity": f"{2 * k}*x*(1+x)"},
        derivative(family, at),
        coarse=16,
    )


def cellular() -> Case:
    """A steady state in a cellular flow, κ = k(1 + x/2): θ = e^x, ρ = sin πx cos πy.

    u = c(sin πx cos πy, −cos πx sin πy) passes no wall; the source makes e^x steady between its
    Dirichlet values left and right, and natural bottom and top.  For any ρ that vanishes left and
    right and is natural elsewhere, the direction κ′ with ∂_x(κ′ e^x) = u·∇ρ − ∇·(κ∇ρ) makes it the
    steady sensitivity.
    """
    k, c = 0.1, 0.5

    def rho(x, t):
        return np.sin(np.pi * x[0]) * np.cos(np.pi * x[1])

    # ∫₀ˣ ∇·(κ∇ρ) and ∫₀ˣ u·∇ρ, where u·∇ρ = ½cπ sin 2πx
    spread = f"{k}*cos(pi*y)*(0.5*sin(pi*x) - 2*pi*(1 - (1+x/2)*cos(pi*x)) - sin(pi*x))"
    drift = f"{c / 4}*(1 - cos(2*pi*x))"
    return Case(
        {
            "domain": {"shape": "rectangle"},
            "physics": {
                "diffusivity": f"{k}*(1+x/2)",
                "velocity": [f"{c}*sin(pi*x)*cos(pi*y)", f"-{c}*cos(pi*x)*sin(pi*y)"],
                "source": f"exp(x)*({c}*sin(pi*x)*cos(pi*y) - {k}*(1.5+x/2))",
                "initial": "exp(x)",
                "dirichlet": {"left": 1.0, "right": float(np.e)},
            },
            "time": {"final": 0.5, "outputs": 1},
        },
        lambda x, t: np.exp(x[0]),
        {"diffusivity": f"exp(-x)*({drift} - {spread})"},
        rho,
        coarse=16,
    )
