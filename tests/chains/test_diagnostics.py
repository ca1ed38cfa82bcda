"""R̂, effective sample sizes and E-BFMI: ArviZ' numbers, and autoregressions whose size is known."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.chains import diagnostics


def example(chains=3, count=101):
    """The same everywhere."""
    k = np.arange(chains * count).reshape(chains, count).astype(float)
    noise = np.sin(k**2 * 0.7 + 0.3) + 0.5 * np.cos(1.3 * k)
    x = np.zeros_like(noise)
    for t in range(1, count):
        x[:, t] = 0.6 * x[:, t - 1] + noise[:, t]
    return x + 0.1 * np.arange(chains)[:, None]


def test_numbers_of_arviz():
    """Its version 0.23.4 on the same draws; others compute now."""
    x = example()
    assert diagnostics.rhat(x) == pytest.approx(1.015640291782372, rel=1e-10)
    assert diagnostics.ess_bulk(x) == pytest.approx(105.25127525470944, rel=1e-10)
    assert diagnostics.ess_tail(x) == pytest.approx(240.00268384326355, rel=1e-10)
    error = x.std(ddof=1) / np.sqrt(103.09379615371695)
    assert diagnostics.mcse_mean(x) == pytest.approx(error, rel=1e-10)
    theirs = [0.9087051399654658, 0.7899287789637502, 0.7715010657133399]
    np.testing.assert_allclose(diagnostics.bfmi(x), theirs, rtol=1e-10)


KEPT = {
    "one chain": (example(1), [1.0238423591131416, 34.486794735212065, 63.425216947422165]),
    "short": (example(3, 8), [1.4166068127465452, 33.12506980107854, 33.12506980107854]),
    "offset": (1e6 + example(2, 50), [1.0036918562783463, 42.22597176506879, 59.061595156620164]),
    "ties": (np.round(example()), [1.0134345769411988, 117.39451487305979, 161.71990964021006]),
}


@pytest.mark.parametrize("case", KEPT)
def test_the_numbers_of_files_written_before(case):
    """R̂, bulk and tail size of advdiff 0.1.0 before arviz-stats computed them."""
    draws, numbers = KEPT[case]
    found = diagnostics.summary(draws)
    np.testing.assert_allclose(
        [found[name] for name in ("rhat", "ess_bulk", "ess_tail")], numbers, rtol=1e-8
    )


@pytest.mark.filterwarnings("error")
def test_where_there_is_no_number():
    constant = diagnostics.summary(np.ones((2, 50, 1)))
    assert np.isnan(constant["rhat"]) and constant["ess_bulk"] == constant["ess_tail"] == 100
    assert constant["mcse_mean"] == 0
    short = diagnostics.summary(example(3, 7)[..., None])
    assert short["rhat"] > 1 and all(np.isnan(short[k]) for k in short if k != "rhat")
    assert all(np.isnan(v) for v in diagnostics.summary(example(1, 7)).values())


@pytest.mark.parametrize("chains", [1, 3])
def test_a_draw_that_is_nan_spoils_its_own_variable_alone(chains):
    x = np.stack([example(chains), example(chains)], axis=-1)
    x[0, 3, 0] = np.nan
    alone = diagnostics.summary(x[..., 1])
    for name, (spoilt, other) in diagnostics.summary(x).items():
        assert np.isnan(spoilt) and other == alone[name], name


def test_many_variables_at_once_are_each_alone():
    x = np.stack([example(), example() ** 3, np.ones((3, 101))], axis=-1)
    for name, values in diagnostics.summary(x).items():
        alone = [diagnostics.summary(x[..., k])[name] for k in range(3)]
        np.testing.assert_allclose(values, alone, err_msg=name)
    assert diagnostics.ess_bulk(x)[2] == 3 * 100


@pytest.mark.parametrize("rho", [0.0, 0.8, -0.5])
def test_the_size_of_an_autoregression(rho):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 20000))
    for t in range(1, x.shape[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    expected = x.size * (1 - rho) / (1 + rho)
    assert diagnostics.ess_bulk(x) == pytest.approx(expected, rel=0.1)
    assert diagnostics.autocorrelation(x, 2) == pytest.approx(rho**2, abs=0.02)
    assert diagnostics.rhat(x) < 1.01


def test_chains_in_different_places_are_found_out():
    x = np.random.default_rng(2).standard_normal((4, 500))
    assert diagnostics.rhat(x + np.arange(4)[:, None]) > 1.3
    assert diagnostics.rhat(x * np.array([1, 1, 1, 5])[:, None]) > 1.1
    assert diagnostics.ess_bulk(x + np.arange(4)[:, None]) < 20
