"""How far chains can be trusted: R̂, effective sample sizes, E-BFMI, autocorrelation.

Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16, 2021: rank-normalised split R̂,
bulk and tail effective sample size, as ArviZ computes them (arviz-stats).  Draws are arrays (chain,
draw) or (chain, draw, n); results a number or (n,), NaN where there is none.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from scipy.special import ndtri

if find_spec("arviz_stats") is None:  # not at the end of a long run, when it is imported
    raise ModuleNotFoundError("No module named 'arviz_stats'", name="arviz_stats")

TAILS = 0.05, 0.95
FEWEST = 8
"""Draws of a chain: four in each half, the least of which an effective sample size is told."""


def _arviz(name: str, draws: np.ndarray, **options) -> np.ndarray:
    """One of the functions of arrays of arviz-stats, whose import takes half a second."""
    from arviz_stats.base import array_stats

    draws = np.asarray(draws, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(getattr(array_stats, name)(draws, chain_axis=0, draw_axis=1, **options))


def rhat(draws: np.ndarray) -> np.ndarray:
    """The larger rank-normalised split R̂ of the draws and of their distance to the median."""
    if len(draws) > 1:
        return _arviz("rhat", draws, method="rank")
    half = draws.shape[1] // 2  # ArviZ wants two chains: these
    halves = np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    kinds = (_arviz("rhat", rank_normalised(x), method="identity") for x in (halves, folded))
    return np.maximum(*kinds)


def rank_normalised(draws: np.ndarray) -> np.ndarray:
    """Normal scores of the pooled ranks (Blom's 3/8)."""
    from scipy.stats import rankdata

    ranks = rankdata(draws.reshape(-1, *draws.shape[2:]), axis=0)
    return ndtri((ranks - 0.375) / (len(ranks) + 0.25)).reshape(draws.shape)


def ess_bulk(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the rank-normalised draws."""
    return _of_halves("ess", draws, method="bulk")


def ess_tail(draws: np.ndarray) -> np.ndarray:
    """The smaller of the effective sample sizes for the 5 % and the 95 % quantile."""
    return _of_halves("ess", draws, method="tail", prob=TAILS)


def mcse_mean(draws: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean."""
    # ArviZ takes draws for constant whose range is below 1e-15, whatever their unit
    _, exponent = np.frexp(np.abs(draws).max(axis=(0, 1)))
    return np.ldexp(_of_halves("mcse", np.ldexp(draws, -exponent), method="mean"), exponent)


def _of_halves(name: str, draws: np.ndarray, **options) -> np.ndarray:
    if draws.shape[1] < FEWEST:
        return np.full(draws.shape[2:], np.nan)
    return _arviz(name, draws, **options)


def bfmi(energy: np.ndarray) -> np.ndarray:
    """E-BFMI of every chain from energies (chain, draw) (Betancourt, arXiv:1604.00695): > 0.3."""
    return _arviz("bfmi", energy)


def autocovariance(chains: np.ndarray) -> np.ndarray:
    """Of every chain about its own mean, biased, for all lags: the shape of ``chains``."""
    from arviz_stats.base import array_stats

    return array_stats.autocov(chains, axis=1)


def autocorrelation(draws: np.ndarray, lag: int) -> float:
    """At one lag, over the chains (chain, draw) about their common mean."""
    centred = draws - draws.mean()
    covariance = (centred[:, lag:] * centred[:, : draws.shape[1] - lag]).mean()
    return float(covariance / (centred**2).mean())


def summary(draws: np.ndarray) -> dict[str, np.ndarray]:
    """R̂, bulk and tail effective sample size, Monte Carlo error of the mean, by name."""
    return {
        "rhat": rhat(draws),
        "ess_bulk": ess_bulk(draws),
        "ess_tail": ess_tail(draws),
        "mcse_mean": mcse_mean(draws),
    }
