"""What chains have found, in lines."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from advdiff.chains.diagnostics import autocorrelation
from advdiff.files.finished import open_result


def of(path: Path) -> list[str]:
    """The lines of a result file (local)."""
    with open_result(path) as file:
        return lines(file)


def lines(file: h5py.File) -> list[str]:
    """Acceptance, diagnostics and seconds of a result with chains."""
    stats = file["sample_stats"]
    acceptance = stats["acceptance_rate"][:].mean(axis=1)
    potential, seconds = stats["potential"][:], stats.attrs["seconds"]
    lag = min(30, potential.shape[1] // 2)
    found = [
        f"chains      {file.attrs['kernel']}, {len(file['chain'])} of {len(file['draw'])} draws, "
        f"acceptance {acceptance.min():.2f} … {acceptance.max():.2f}, "
        f"{int(stats['diverging'][:].sum())} diverging",
        f"potential   {potential.mean():.5g} ± {potential.std():.2g}, autocorrelation "
        f"{autocorrelation(potential, lag):.2f} at lag {lag}",
    ]
    if "bfmi" in stats.attrs:
        found.append(f"energy      E-BFMI {np.min(stats.attrs['bfmi']):.2f} at the least")
    for name in file["diagnostics"]:
        group = file[f"diagnostics/{name}"]
        bulk, tail = group["ess_bulk"][()], group["ess_tail"][()]
        found.append(
            f"{name:11s} R̂ up to {np.max(group['rhat'][()]):.3f}; effective draws at least "
            f"{np.min(bulk):.0f} (bulk), {np.min(tail):.0f} (tail), median {np.median(bulk):.0f}, "
            f"{np.min(bulk) / np.sum(seconds):.3g} a second of one core"
        )
        if "mcse_mean" in group:
            draws = file[f"posterior/{name}"][:]
            spread = np.maximum(draws.std(axis=(0, 1)), np.finfo(float).tiny)
            share = np.max(group["mcse_mean"][()] / spread)
            found.append(f"            Monte Carlo error of its mean up to {share:.2g} std")
        if name in file.get("truth", {}):
            found.append(_coverage(file, name))
    for name, share in file["estimate"].attrs.items() if "estimate" in file else ():
        field = name.removesuffix("_inside")
        found.append(
            f"inside      {100 * share:.0f} % of the true {field} at the points, in its 90 % bands"
        )
    return found


def compared(file: h5py.File) -> list[str]:
    """Effective draws a second of a comparison of samplers, in the median over the rates."""
    sizes, values = file["d"][:], file["samplers/ess_median"]
    return [
        f"{name:12s} {regime} times: "
        + ", ".join(f"{values[r, i, k]:.3g} (d = {d})" for i, d in enumerate(sizes))
        for r, regime in enumerate(file["regime"].asstr())
        for k, name in enumerate(file["sampler"].asstr())
    ]


def _coverage(file: h5py.File, name: str) -> str:
    draws, truth = file[f"posterior/{name}"][:], file[f"truth/{name}"][()]
    low, high = np.quantile(draws, (0.05, 0.95), axis=(0, 1))
    known = np.isfinite(truth)
    inside = ((low <= truth) & (truth <= high))[known]
    return (
        f"truth       {name}: {100 * inside.mean():.0f} % of {inside.size} inside their 90 % band"
    )
