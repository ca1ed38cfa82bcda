"""What is to be said against chains."""

from __future__ import annotations

import h5py
import numpy as np

from advdiff.files.concerns import Concern

RHAT = 1.01


EFFECTIVE = 100
"""Effective draws a chain below which quantiles and R̂ itself are noise (Vehtari et al. 2021)."""


BFMI = 0.3


def of_chains(file: h5py.File) -> list[Concern]:
    """Of a result with draws and their diagnostics (local)."""
    found, chains = [], len(file["chain"])
    groups = file["diagnostics"]
    rhat = {name: float(np.max(groups[name]["rhat"][()])) for name in groups}
    worst = max(rhat, key=lambda name: _or_infinite(rhat[name]))
    if not rhat[worst] <= RHAT:
        found.append(
            Concern(
                "rhat",
                f"R̂ = {rhat[worst]:.3f} of {worst}, above {RHAT}: the chains have not mixed; "
                "raise sampler.draws and sampler.warmup",
                rhat[worst],
            )
        )
    sizes = {
        name: float(min(np.min(groups[name][kind][()]) for kind in ("ess_bulk", "ess_tail")))
        for name in groups
    }
    least = min(sizes, key=lambda name: -_or_infinite(-sizes[name]))
    if not sizes[least] >= EFFECTIVE * chains:
        found.append(
            Concern(
                "effective-draws",
                f"{sizes[least]:.0f} effective draws of {least}, below {EFFECTIVE} a chain: its "
                "quantiles are uncertain; raise sampler.draws",
                sizes[least],
            )
        )
    stats = file["sample_stats"]
    diverging = int(np.nansum(stats["diverging"][:]))
    if diverging:
        found.append(
            Concern(
                "diverging",
                f"{diverging} trajectories were given up: draws may miss where the posterior is "
                "narrow; lower sampler.step_size, or take sampler.metric = 'laplace'",
                diverging,
            )
        )
    if "bfmi" in stats.attrs and not np.min(stats.attrs["bfmi"]) >= BFMI:
        value = float(np.min(stats.attrs["bfmi"]))
        found.append(
            Concern(
                "energy",
                f"E-BFMI {value:.2f}, below {BFMI}: the energy moves too slowly for heavy tails; "
                "raise sampler.draws, or take sampler.metric = 'laplace'",
                value,
            )
        )
    return found


def _or_infinite(value: float) -> float:
    return value if np.isfinite(value) else np.inf
