"""The studies: shapes, and the claims their figures make."""

import numpy as np
import pytest

from advdiff.matexp import LAWS, group_inverse, kernel_projector, random_rate_matrix
from advdiff.matexp.rates.studies import SURROGATES, random_rates, surrogate_errors

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("law", LAWS)
def test_surrogate_errors(law):
    t = np.array([1e-8, 1e-3, 0.1, 1.0])
    study = surrogate_errors(np.random.default_rng(1), law, 5, t, replicates=3, certified=2)
    assert study.frobenius.shape == study.bound.shape == (len(SURROGATES), 3, 4)
    assert study.size.shape == (3, 4) and np.isnan(study.bound[:, 2]).all()
    assert (study.spectral <= study.frobenius * (1 + 1e-12)).all()
    # frechet, the reference, has a rounding error of its own
    rounding = 1e-13 * study.spectral_size[:2]
    assert (study.spectral[:, :2] <= study.bound[:, :2] + rounding).all()
    first = SURROGATES.index("first-order")
    assert (study.frobenius[first, :, 0] < 1e-12).all() and (
        study.frobenius[first, :, 3] > 1e-4
    ).all()


def test_corrected_surrogate_improves_with_d_and_first_order_does_not_relatively():
    """At t = 1, Exp(1): the absolute first-order error falls with d, the relative one rises."""
    rng = np.random.default_rng(2)
    absolute, relative, corrected = [], [], []
    for d in (5, 20, 40):
        study = surrogate_errors(rng, "exponential", d, [1.0], 10, ("first-order", "asymptotic"), 0)
        absolute.append(study.frobenius[0].mean())
        relative.append((study.frobenius[0] / study.size).mean())
        corrected.append(study.frobenius[1].mean())
    assert np.all(np.diff(absolute) < 0) and np.all(np.diff(relative) > 0)
    assert corrected[1] < 1e-4 and corrected[2] < 1e-10


def test_random_rates_follow_the_shifted_circular_law():
    """Non-zero eigenvalues near −dμ, within a few √d σ (Exp(1): μ = σ = 1)."""
    study = random_rates(np.random.default_rng(3), "exponential", 200, replicates=2)
    root = np.sqrt(200)
    assert np.all(study.modulus_min > 200 - 4 * root) and np.all(study.modulus_max < 200 + 4 * root)
    assert np.all(study.gap > 200 - 4 * root) and np.all(study.sigma_min > 200 - 5 * root)


@pytest.mark.parametrize("law", LAWS)
def test_correction_and_its_bounds(law):
    rng, d = np.random.default_rng(4), 12
    study = random_rates(rng, law, d, replicates=4, eigenvectors=True)
    assert (study.correction <= study.mended_bound).all()
    assert (study.correction <= study.eigen_bound).all()
    again = np.random.default_rng(4)  # the same draws, by the definition
    Q = random_rate_matrix(again, d, law, size=(4,))
    entry = again.integers(d, size=4)
    for r in range(4):
        J = np.zeros((d, d))
        J[entry[r], 0] = 1.0
        value = np.linalg.norm(group_inverse(Q[r]) @ J @ kernel_projector(Q[r]), 2)
        assert study.correction[r] == pytest.approx(value, rel=1e-10)
