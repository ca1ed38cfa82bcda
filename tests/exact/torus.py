"""Fourier and cosine modes: a torus, a channel, closed boxes.

With constant u and κ, θ = Re e^{λt + 2πi k·x}.  A shear v = (g(y), 0) couples a mode to its two
neighbours in y alone, and ρ is Duhamel's integral of that: for the PDE what Daleckii and Krein's
formula is for a matrix.
"""

from __future__ import annotations

import numpy as np

from tests.exact.case import Case

SHAPES = {1: "interval", 2: "rectangle", 3: "box"}


def mode(wave: tuple[int, ...], velocity: tuple[float, ...], kappa: float):
    """Re e^{λt + 2πi k·x} and λ = −4π²κ|k|² − 2πi u·k."""
    k = 2 * np.pi * np.array(wave, dtype=float)
    rate = -kappa * (k @ k) - 1j * (k @ np.array(velocity))

    def value(x, t):
        return np.exp(rate * t + 1j * (k @ x[: len(k)]))

    return value, rate


def phase(wave: tuple[int, ...]) -> str:
    """2πk·x as text."""
    terms = [f"{k}*{axis}" for k, axis in zip(wave, "xyz", strict=False) if k]
    return f"2*pi*({' + '.join(terms)})"


def constant_velocity(dim: int) -> Case:
    """Two waves carried by constant u; ρ = −t v·∇θ for constant v."""
    kappa, t = 0.01, 0.5
    u, v = (0.7, -0.4, 0.3)[:dim], (0.5, 1.0, -0.6)[:dim]
    waves = {(1, 1, 0)[:dim]: 1.0, (1, -1, 1)[:dim] if dim > 1 else (2,): 0.5}
    parts = [(wave, size, mode(wave, u, kappa)[0]) for wave, size in waves.items()]

    def theta(x, t):
        return sum(size * part(x, t).real for _, size, part in parts)

    def rho(x, t):
        slope = sum(size * 2j * np.pi * np.dot(v, wave) * part(x, t) for wave, size, part in parts)
        return -t * slope.real

    return Case(
        {
            "domain": {"shape": SHAPES[dim], "periodic": list("xyz"[:dim])},
            "physics": {
                "diffusivity": kappa,
                "velocity": list(u),
                "initial": " + ".join(f"{a}*cos({phase(wave)})" for wave, a in waves.items()),
            },
            "time": {"final": t, "outputs": 2},
        },
        theta,
        {"velocity": list(v)},
        rho,
        coarse=32 if dim < 3 else 8,
    )


def shear_mode(dim: int = 2) -> Case:
    """cos 2πx carried by constant u, differentiated along the shear v = (sin 2πy, 0)."""
    kappa, t, u = 0.01, 0.5, (0.3, 0.2, -0.4)[:dim]
    wave = (1, 0, 1)[:dim]
    start, rate = mode(wave, u, kappa)

    def rho(x, t):
        total = 0.0
        for sign in (1, -1):  # sin 2πy = Σ ± e^{±2πiy}/2i
            other, other_rate = mode((1, sign, 1)[:dim], u, kappa)
            integral = (np.exp(other_rate * t) - np.exp(rate * t)) / (other_rate - rate)
            total = total - 2j * np.pi * (sign / 2j) * integral * other(x, 0.0)
        return total.real

    return Case(
        {
            "domain": {"shape": SHAPES[dim], "periodic": list("xyz"[:dim])},
            "physics": {
                "diffusivity": kappa,
                "velocity": list(u),
                "initial": f"cos({phase(wave)})",
            },
            "time": {"final": t, "outputs": 2},
        },
        lambda x, t: start(x, t).real,
        {"velocity": ["sin(2*pi*y)", *["0"] * (dim - 1)]},
        rho,
        coarse=32 if dim < 3 else 8,
    )


def channel_shear() -> Case:
    """Periodic in x, closed in y: cos 2πx cos πy, differentiated along v = (cos πy, 0)."""
    kappa, t, u = 0.02, 0.5, 0.4

    def wave(row, x, t):
        rate = -kappa * np.pi**2 * (4 + row**2) - 2j * np.pi * u
        return rate, np.exp(rate * t + 2j * np.pi * x[0]) * np.cos(row * np.pi * x[1])

    def rho(x, t):
        rate, _ = wave(1, x, 0.0)
        total = 0.0
        for row in (0, 2):  # cos²πy = (1 + cos 2πy)/2
            other_rate, other = wave(row, x, 0.0)
            integral = (np.exp(other_rate * t) - np.exp(rate * t)) / (other_rate - rate)
            total = total - 2j * np.pi * 0.5 * integral * other
        return total.real

    return Case(
        {
            "domain": {"shape": "rectangle", "periodic": ["x"]},
            "physics": {
                "diffusivity": kappa,
                "velocity": [u, 0.0],
                "initial": "cos(2*pi*x)*cos(pi*y)",
            },
            "time": {"final": t, "outputs": 2},
        },
        lambda x, t: wave(1, x, t)[1].real,
        {"velocity": ["cos(pi*y)", "0"]},
        rho,
        coarse=32,
    )


def cosine_mode(dim: int = 2) -> Case:
    """u = 0 in a closed box: θ = e^{λt} cos πx cos 2πy (cos πz), ∂θ/∂κ = tλθ/κ."""
    kappa, t, waves = 0.02, 0.5, (1, 2, 1)[:dim]
    rate = -(np.pi**2) * sum(k**2 for k in waves)

    def theta(x, t):
        decay = np.exp(kappa * rate * t)
        return decay * np.prod([np.cos(k * np.pi * x[i]) for i, k in enumerate(waves)], axis=0)

    initial = "*".join(f"cos({k}*pi*{axis})" for k, axis in zip(waves, "xyz", strict=False))
    return Case(
        {
            "domain": {"shape": SHAPES[dim]},
            "physics": {"diffusivity": kappa, "initial": initial},
            "time": {"final": t, "outputs": 2},
        },
        theta,
        {"diffusivity": 1.0},
        lambda x, t: rate * t * theta(x, t),
        coarse=16 if dim < 3 else 8,
    )
