"""The unknown diffusivity: κ = eᵐ, one number or a field."""

from __future__ import annotations

from advdiff.problem.unknowns.positive import Positive


class Diffusivity(Positive):
    """κ."""

    key, title, units = "diffusivity", "diffusivity", "length**2/time"

    def read(self, problem, value, key):
        return problem.diffusivity(value, key)
