"""How far chains can be trusted: R̂, effective sample sizes, E-BFMI, autocorrelation.

Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16, 2021: rank-normalised split R̂,
bulk and tail effective sample size.  Numbers agree with ArviZ'.  Draws are arrays (chain, draw) or
(chain, draw, n); results a number or (n,).
"""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len
from scipy.special import ndtri

TAILS = 0.05, 0.95


def split(draws: np.ndarray) -> np.ndarray:
    """Every chain as two halves, (2·chain, draw // 2, …); of an odd number the middle is left."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def rank_normalised(draws: np.ndarray) -> np.ndarray:
    """Normal scores of the pooled ranks (Blom's 3/8)."""
    columns = draws.reshape(draws.shape[0] * draws.shape[1], -1)
    scores = np.empty(columns.shape)
    for k, column in enumerate(columns.T):
        scores[:, k] = ndtri((_ranks(column) - 0.375) / (len(column) + 0.25))
    return scores.reshape(draws.shape)


def _ranks(values: np.ndarray) -> np.ndarray:
    """1 … n; equal ones share their mean rank; NaN where a value is."""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - 0.5 * (count - 1))[place]


def rhat(draws: np.ndarray) -> np.ndarray:
    """The larger rank-normalised split R̂ of the draws and of their distance to the median."""
    halves = split(np.asarray(draws, dtype=float))
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    return np.maximum(_rhat(rank_normalised(halves)), _rhat(rank_normalised(folded)))


def _rhat(chains: np.ndarray) -> np.ndarray:
    count = chains.shape[1]
    within = chains.var(axis=1, ddof=1).mean(axis=0)
    between = chains.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((count - 1) / count + between / within)


def ess_bulk(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the rank-normalised draws."""
    return _ess(rank_normalised(split(np.asarray(draws, dtype=float))))


def ess_mean(draws: np.ndarray) -> np.ndarray:
    """Effective sample size for the mean."""
    return _ess(split(np.asarray(draws, dtype=float)))


def mcse_mean(draws: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean."""
    return np.std(draws, axis=(0, 1), ddof=1) / np.sqrt(ess_mean(draws))


def ess_tail(draws: np.ndarray) -> np.ndarray:
    """The smaller of the effective sample sizes for the 5 % and the 95 % quantile."""
    draws = np.asarray(draws, dtype=float)
    found = []
    for tail in TAILS:
        quantile = np.quantile(draws, tail, axis=(0, 1))
        found.append(_ess(split((draws <= quantile).astype(float))))
    return np.minimum(*found)


def autocovariance(chains: np.ndarray) -> np.ndarray:
    """Of every chain about its own mean, biased, for all lags: the shape of ``chains``."""
    count = chains.shape[1]
    length = next_fast_len(2 * count)
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), length, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, length, axis=1)[:, :count] / count


def autocorrelation(draws: np.ndarray, lag: int) -> float:
    """At one lag, over the chains (chain, draw) about their common mean."""
    centred = draws - draws.mean()
    covariance = (centred[:, lag:] * centred[:, : draws.shape[1] - lag]).mean()
    return float(covariance / (centred**2).mean())


def _ess(chains: np.ndarray) -> np.ndarray:
    """Geyer's initial monotone sequence over the chains (chain, draw, …)."""
    many, count = chains.shape[:2]
    if count < 4 or not np.isfinite(chains).all():
        return np.full(chains.shape[2:], np.nan)
    covariance = autocovariance(chains)
    mean_var = covariance[:, 0].mean(axis=0) * count / (count - 1.0)
    plus = mean_var * (count - 1.0) / count
    if many > 1:
        plus = plus + chains.mean(axis=1).var(axis=0, ddof=1)
    largest = np.abs(chains).max(axis=(0, 1))
    constant = np.ptp(chains, axis=(0, 1)) <= np.finfo(float).resolution * largest
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (mean_var - covariance.mean(axis=0)) / plus
    rho[0] = 1.0
    flat = rho.reshape(count, -1)
    time = np.array([_integrated_time(flat[:, k]) for k in range(flat.shape[1])])
    size = many * count / np.maximum(time, 1.0 / np.log10(many * count))
    return np.where(constant, many * count, size.reshape(chains.shape[2:]))


def _integrated_time(rho: np.ndarray) -> float:
    """−1 + 2 Σ of pairs ρ_2k + ρ_2k+1, positive and not increasing."""
    last = (len(rho) - 3) // 2
    sums = rho[: 2 * last + 2].reshape(-1, 2).sum(axis=1)
    kept = int(np.argmax(sums <= 0.0)) if (sums <= 0.0).any() else last
    monotone = np.minimum.accumulate(sums[:kept])
    return -1.0 + 2.0 * float(monotone.sum()) + max(float(rho[2 * kept]), 0.0)


def bfmi(energy: np.ndarray) -> np.ndarray:
    """E-BFMI of every chain from energies (chain, draw) (Betancourt, arXiv:1604.00695): > 0.3."""
    return (np.diff(energy, axis=1) ** 2).mean(axis=1) / energy.var(axis=1, ddof=1)


def summary(draws: np.ndarray) -> dict[str, np.ndarray]:
    """R̂, bulk and tail effective sample size, Monte Carlo error of the mean, by name."""
    return {
        "rhat": rhat(draws),
        "ess_bulk": ess_bulk(draws),
        "ess_tail": ess_tail(draws),
        "mcse_mean": mcse_mean(draws),
    }
