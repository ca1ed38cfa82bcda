"""The examples in the docstrings of all modules run, and what a stranger starts from has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import docstrings

pytestmark = pytest.mark.serial

ROOT = Path(__file__).parents[2]

WANTED = [
    "algebra.generator.Generator",
    "chains.kernel.Kernel",
    "chains.kernels.delayed_acceptance.DelayedAcceptance",
    "chains.kernels.hmc.HMC",
    "chains.kernels.mala.MALA",
    "chains.kernels.nuts.NUTS",
    "chains.kernels.pcn.PCN",
    "chains.kernels.random_walk.RandomWalk",
    "chains.run.sample",
    "core.random.Random",
    "domain.mesh.Domain",
    "domain.mesh.box",
    "domain.samples.Samples",
    "equation.cotangent.OperatorCotangent",
    "equation.discretization.base.Discretization",
    "equation.discretization.make",
    "equation.operator.Operator",
    "equation.velocity.Velocity",
    "inverse.laplace.Laplace",
    "inverse.likelihood.Gaussian",
    "inverse.map.minimise",
    "inverse.matern.Matern",
    "inverse.model.Model",
    "inverse.objective.Objective",
    "inverse.prior.Prior",
    "inverse.unknowns.Unknowns",
    "models.rate_matrix.RateMatrixModel",
    "problem.model.TransportModel",
    "problem.problem.Problem",
    "problem.problem.load",
    "problem.readings.Readings",
    "problem.sensors.Sensors",
    "problem.transport.Transport",
    "reduced.misfit.GaussianPrior",
    "reduced.model.ReducedModel",
    "results.store.Store",
    "semigroup.engine.Engine",
    "semigroup.faber.engine.FaberEngine",
    "semigroup.mfn.engine.MFNEngine",
    "semigroup.rational.engine.ShiftInvert",
    "semigroup.semigroup.Semigroup",
    "sensitivity.rho.Sensitivity",
]


def test_examples_run(monkeypatch):
    monkeypatch.chdir(ROOT)  # they name files as seen from here
    assert sum(map(docstrings.run, docstrings.modules("advdiff"))) > 4 * len(WANTED)


@pytest.mark.parametrize("name", WANTED)
def test_there_is_an_example(name):
    assert docstrings.examples(f"advdiff.{name}") > 1
