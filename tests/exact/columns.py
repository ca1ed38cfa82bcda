"""A step of tracer into a column, in closed form: resident and flux concentration.

Lapidus and Amundson (1952), Lindstrom et al. (1967), as van Genuchten and Alves (1982) have them:
the inlet x = 0 takes the flux v of a tracer of concentration 1 (third-type), no column ends.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from mpi4py import MPI
from scipy.special import erfc, erfcx

from advdiff.models.coefficients import unknowns


def _arguments(x, t, v, D):
    t = np.maximum(t, 1e-300)
    a, b = (x - v * t) / (2.0 * np.sqrt(D * t)), (x + v * t) / (2.0 * np.sqrt(D * t))
    return t, a, np.exp(-(a**2)) * erfcx(b)


def resident(x, t, v, D):
    """What is there, shape of x and t."""
    t, a, second = _arguments(x, t, v, D)
    peak = np.sqrt(v**2 * t / (np.pi * D)) * np.exp(-(a**2))
    return 0.5 * erfc(a) + peak - 0.5 * (1.0 + v * x / D + v**2 * t / D) * second


def flux(x, t, v, D):
    """What passes, over v."""
    _, a, second = _arguments(x, t, v, D)
    return 0.5 * erfc(a) + 0.5 * second


class Column:
    """A model of m = (v, log D) whose readings are in closed form.

    Args:
        x, t: of the readings, shape (reading,).
    """

    def __init__(self, x, t, concentration=resident):
        self.x, self.t, self.concentration = x, t, concentration
        self.unknowns = unknowns("column", 2, MPI.COMM_SELF)

    def at(self, v: float, D: float) -> np.ndarray:
        """The readings, shape (reading,)."""
        return self.concentration(self.x, self.t, v, D)

    def observe(self, m):
        v, log = m.array
        return self.at(v, np.exp(log))

    def linearise(self, m):
        (v, log), h = m.array, 1e-6
        D = np.exp(log)
        slopes = [
            (self.at(v * (1 + h), D) - self.at(v * (1 - h), D)) / (2 * h * v),
            (self.at(v, D * (1 + h)) - self.at(v, D * (1 - h))) / (2 * h),
        ]
        J = np.transpose(slopes)
        return SimpleNamespace(
            predicted=self.at(v, D),
            push=lambda dm: J @ dm.array,
            pull=lambda weights: self.unknowns.from_numpy(weights @ J),
        )
