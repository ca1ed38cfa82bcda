"""95 % intervals hold the truth about 95 % of the time: 200 synthetic columns a kind of noise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from advdiff.inverse import noise
from advdiff.inverse.laplace import approximate
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.map import minimise
from advdiff.inverse.objective import Objective
from advdiff.models.coefficients import independent_prior
from tests.exact.columns import Column

pytestmark = pytest.mark.serial
TRUTH = np.array([2.5, np.log(0.13)])
DEPTHS, PASSING = np.meshgrid([11.0, 17.0, 23.0], np.linspace(0.7, 1.4, 30))
X, T = DEPTHS.ravel(), (DEPTHS * PASSING / 2.5).ravel()  # while the front passes
COLUMNS, STD = 200, 0.02
KINDS = {
    "given": {"kind": "given"},
    "unknown": {"kind": "unknown"},
    "unknown, one a sensor": {"kind": "unknown", "by": "sensor"},
    "relative": {"kind": "relative", "relative": 0.1},
    "student": {"kind": "student", "nu": 3.0},
}


def intervals(name: str, limited: bool) -> np.ndarray:
    """Whether v and log D are in their intervals, shape (column, 2)."""
    table, model, rng = KINDS[name], Column(X, T), np.random.default_rng(11)
    clean = model.at(TRUTH[0], np.exp(TRUTH[1]))
    scale = np.hypot(STD, 0.1 * clean) if name == "relative" else np.full(len(clean), STD)
    limit = np.quantile(clean, 0.4)
    prior = independent_prior(model.unknowns, mean=TRUTH, std=[1.0, 1.0])
    held = []
    for _ in range(COLUMNS):
        draw = (
            rng.standard_t(3.0, len(clean))
            if name == "student"
            else rng.standard_normal(len(clean))
        )
        values = clean + scale * draw
        below = (values < limit) & limited
        seen = SimpleNamespace(
            values=np.where(below, limit, values),
            std=np.full(len(clean), STD),
            censored=-below.astype(int) if limited else None,
            group=np.unique(X, return_inverse=True)[1],
        )
        options = {"relative": None, "nu": 4.0, "by": "all"} | table
        objective = Objective(Potential(model, noise.make(seen, **options)), prior)
        found = minimise(objective, prior.mean.copy())
        assert found.converged, found.message
        posterior = approximate(objective, found.m, threshold=1e-3)
        units = [model.unknowns.from_numpy(unit) for unit in np.eye(2)]
        stds = np.sqrt([posterior.covariance(unit).dot(unit) for unit in units])
        held.append(np.abs(found.m.array - TRUTH) <= 1.96 * stds)
    return np.array(held)


@pytest.mark.parametrize(("name", "limited"), [("given", True), ("unknown", False)])
def test_coverage(name, limited):
    share = intervals(name, limited).mean(axis=0)
    assert ((share >= 0.92) & (share <= 0.98)).all(), share


if __name__ == "__main__":  # scripts/run python -m tests.inverse.test_coverage: the whole table
    print("| noise | v | D | v, 40 % below a limit | D |\n|---|---|---|---|---|")
    for kind in KINDS:
        shares = [100 * s for limited in (False, True) for s in intervals(kind, limited).mean(0)]
        print(f"| {kind} | " + " | ".join(f"{share:.1f}" for share in shares) + " |", flush=True)
