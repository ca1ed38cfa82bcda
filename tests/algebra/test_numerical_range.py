"""The bounds hold for the dense spectrum of the parts, and are not far from it."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from petsc4py import PETSc

from advdiff.algebra.generator import Generator, Mass
from advdiff.algebra.numerical_range import NumericalRange, bounds
from tests.semigroup import problems

MAKERS = {
    "uniform": lambda: problems.unit_square(12),
    "weak diffusion": lambda: problems.unit_square(12, 1e-4),
    "irregular": lambda: problems.irregular(12),
    "holes": lambda: problems.holes(0.15),
    "box": lambda: problems.box(5),
    "through flow": lambda: problems.through_flow(12),
    "open inflow": lambda: problems.open_inflow(12),
    "no flow": lambda: problems.unit_square(12, flow=False),
}
PROBLEMS = {name: cache(make) for name, make in MAKERS.items()}
"""Each is made once: nobody changes them."""


def parts(generator):
    root = np.sqrt(problems.gathered(generator, generator.mass.diagonal))
    scaled = root[:, None] * problems.dense_generator(generator) / root
    return 0.5 * (scaled + scaled.T), 0.5 * (scaled - scaled.T)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", ["gershgorin", "lanczos"])
def test_bounds_hold_and_are_sharp(name, method):
    generator = PROBLEMS[name]()
    region = bounds(generator, method)
    symmetric, skew = parts(generator)
    spectrum = np.linalg.eigvalsh(symmetric)
    real, imag = -spectrum[0], np.linalg.norm(skew, 2)
    tiny = 1e-12 * abs(spectrum).max()
    assert region.growth >= spectrum[-1] - tiny
    assert region.real - region.growth >= real - tiny
    assert region.imag >= imag - tiny
    slack = 1.02 if method == "lanczos" else 1.45
    assert region.real - region.growth <= slack * real
    assert region.imag <= slack * imag + tiny
    assert region.growth <= max(spectrum[-1], 0.0) + 1e-3 * real


@pytest.mark.serial
@pytest.mark.parametrize("name", ["uniform", "irregular", "holes", "box", "through flow"])
def test_numerical_range_in_the_parabola(name):
    """The boundary of W(Â) by rotations: every point lies in the region."""
    generator = PROBLEMS[name]()
    region = bounds(generator)
    symmetric, skew = parts(generator)
    matrix = symmetric + skew
    for angle in np.linspace(0.0, np.pi, 16):
        rotated = np.exp(1j * angle) * matrix
        _, vectors = np.linalg.eigh(0.5 * (rotated + rotated.conj().T))
        for x in vectors[:, -1], vectors[:, 0]:
            z = np.vdot(x, matrix @ x)
            assert z.real <= 1e-10
            assert abs(z.imag) <= math.sqrt(region.flow * max(-z.real, 0.0)) + 1e-6
            assert abs(z.imag) <= region.imag * (1.0 + 1e-12)
            assert -z.real <= region.real * (1.0 + 1e-12)


def test_unknown_flow_bound_of_a_dissipative_generator():
    """Obtuse angles spoil Gershgorin's right end; Lanczos gives it back."""
    generator = replace(problems.irregular(12), flow_bound=math.inf)
    region = bounds(generator)
    assert math.isinf(region.flow)
    assert region.growth <= 1e-3 * region.real
    assert "lanczos" in region.method


def test_zero_matrix():
    generator = problems.unit_square(4)
    generator.stiffness.scale(0.0)
    region = bounds(generator)
    assert (region.real, region.imag, region.growth) == (0.0, 0.0, 0.0)


def test_consistent_mass_is_refused():
    generator = problems.unit_square(4)
    mass = Mass(PETSc.Mat().createConstantDiagonal(generator.stiffness.getSizes(), 1.0))
    with pytest.raises(ValueError, match="diagonal mass"):
        bounds(Generator(generator.stiffness, mass))


def test_bad_input_is_refused():
    generator = problems.unit_square(4)
    with pytest.raises(ValueError, match="range must be"):
        bounds(generator, "guess")
    with pytest.raises(ValueError, match="flow bound"):
        bounds(replace(generator, flow_bound=-1.0))
    first, _ = generator.stiffness.getOwnershipRange()
    if generator.comm.rank == 0:
        generator.stiffness.setValue(first, first, math.nan)
    generator.stiffness.assemble()
    with pytest.raises(ValueError, match="not finite"):
        bounds(generator)


def test_a_rounded_region_contains_and_stays():
    region = NumericalRange(905.0, 18.0, 100.0)
    rounded = region.rounded()
    for name, most in (("real", 2 ** (1 / 16)), ("imag", 2 ** (1 / 16)), ("flow", 2 ** (1 / 4))):
        ratio = getattr(rounded, name) / getattr(region, name)
        assert 1.0 <= ratio < most
    assert replace(region, real=906.0, imag=18.1, flow=101.0).rounded() == rounded
    assert rounded.rounded() == rounded
    for value in (256.0, 256.0 * (1.0 + 1e-15), 256.0 * (1.0 - 1e-15)):  # as ranks may add it up
        up = NumericalRange(value, value, value).rounded()
        assert value <= up.real <= value * (1.0 + 1e-14)
    assert NumericalRange(9.0, 3.0, np.inf, 0.5).rounded() == NumericalRange(9.0, 3.0, np.inf, 0.5)
