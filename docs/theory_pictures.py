#!/usr/bin/env python3
"""Draw the pictures of theory.md and print its numbers (minutes; --quick: small sizes)."""

from __future__ import annotations

import argparse
import timeit
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from advdiff.matexp import (
    LAWS,
    asymptotic_theorem,
    certificate,
    decay_norms,
    derivative,
    group_inverse,
    kernel_projector,
    random_rate_matrix,
    spectral_gap,
    unit_entry,
)
from advdiff.matexp.studies import SURROGATES, random_rates, surrogate_errors

HERE = Path(__file__).parent
DPI = 80


def save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(HERE / name, dpi=DPI)
    plt.close(figure)


def surrogate_picture(dimensions: tuple[int, ...]) -> None:
    """Absolute and relative errors against t, certificates as dashed lines."""
    t = np.concatenate([np.logspace(-10, 0, 10), np.logspace(0.5, 2, 4)])
    figure, axes = plt.subplots(2, len(dimensions), figsize=(12, 7), sharex=True, sharey="row")
    for column, d in zip(axes.T, dimensions, strict=True):
        study = surrogate_errors(np.random.default_rng(d), "exponential", d, t, 20, certified=5)
        for m, name in enumerate(SURROGATES):
            mean = np.median(study.spectral[m], axis=0)
            line = column[0].loglog(t, mean, ".-", label=name)[0]
            column[0].loglog(t, np.nanmedian(study.bound[m], axis=0), "--", color=line.get_color())
            column[1].loglog(t, np.median(study.spectral[m] / study.spectral_size, axis=0), ".-")
        column[0].set_title(f"Exp(1) rates, d = {d}")
        column[1].set_xlabel("t")
        column[0].grid(alpha=0.3)
        column[1].grid(alpha=0.3)
        column[1].set_ylim(1e-17, 1e11)
    axes[0, 0].set_ylabel("2-norm error (dashed: certificate)")
    axes[1, 0].set_ylabel("relative error")
    axes[0, 0].legend(fontsize=8)
    save(figure, "theory_surrogates.png")


def first_order_against_d(dimensions: tuple[int, ...]) -> None:
    print("t = 1: d, law, mean Frobenius error first-order, its relative error, asymptotic")
    for law in LAWS:
        for d in dimensions:
            study = surrogate_errors(
                np.random.default_rng(d), law, d, [1.0], 20, ("first-order", "asymptotic"), 0
            )
            first, corrected = study.frobenius[:, :, 0].mean(axis=1)
            relative = (study.frobenius[0] / study.size).mean()
            print(f"  {law:12s} {d:4d} {first:9.3g} {relative:9.3g} {corrected:9.2g}")


def random_rates_picture(dimensions: tuple[int, ...]) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(14, 4))
    print("law, d, means: e_m/d, gap/d, e_M/d, sigma_m/d, correction, 1/sigma_m, mended bound")
    for law, upper in zip(LAWS, axes[:3], strict=True):
        rows = []
        for d in dimensions:
            count = 20 if d <= 200 else 2
            rows.append([v.mean() for v in random_rates(np.random.default_rng(d), law, d, count)])
            r = rows[-1]
            scaled = " ".join(f"{v / d:8.3f}" for v in (r[0], r[2], r[1], r[3]))
            print(f"  {law:12s} {d:5d} {scaled} {r[4]:9.2e} {r[5]:9.2e} {r[6]:9.2e}", flush=True)
        rows, d = np.array(rows), np.array(dimensions, dtype=float)
        for k, label in ((0, "$e_m$"), (1, "$e_M$"), (3, "$\\sigma_m$")):
            upper.loglog(d, rows[:, k], "o-", label=label)
        if law == "exponential":
            upper.loglog(d, d - np.sqrt(d), "k:", label="$d\\mu\\pm\\sqrt{d}\\sigma$")
            upper.loglog(d, d + np.sqrt(d), "k:")
        upper.set_title(law)
        upper.set_xlabel("d")
        upper.legend(fontsize=8)
        upper.grid(alpha=0.3)
        line = axes[3].loglog(d, rows[:, 4], "o-", label=law)[0]
        axes[3].loglog(d, rows[:, 5], "--", color=line.get_color())
        axes[3].loglog(d, rows[:, 6], ":", color=line.get_color())
    axes[3].set_title(r"$\|Q^\# J\Pi\|_2$; -- 1/$\sigma_m$; : mended")
    axes[3].set_xlabel("d")
    axes[3].legend(fontsize=8)
    axes[3].grid(alpha=0.3)
    save(figure, "theory_random_rates.png")


def spectrum_picture(d: int) -> None:
    """Eigenvalues of the three laws, and the disc of the circular law."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for law, axis in zip(LAWS, axes, strict=True):
        values = np.linalg.eigvals(random_rate_matrix(np.random.default_rng(1), d, law))
        axis.plot(values.real, values.imag, ".", markersize=3)
        if law == "exponential":
            angle = np.linspace(0, 2 * np.pi, 200)
            axis.plot(-d + np.sqrt(d) * np.cos(angle), np.sqrt(d) * np.sin(angle), "k-", lw=0.8)
        else:
            axis.set_xscale("symlog", linthresh=d)
        axis.set_title(f"{law}, d = {d}")
        axis.set_xlabel("Re λ")
    axes[0].set_ylabel("Im λ")
    save(figure, "theory_spectrum.png")


def higher_order_picture(d: int) -> None:
    rng = np.random.default_rng(d)
    Q, J = random_rate_matrix(rng, d), unit_entry(rng, d)
    t = np.logspace(-5, 1, 61)
    exact = derivative(Q, J, t, "frechet")
    size = np.linalg.norm(exact, 2, axis=(1, 2))
    families = {
        "commutator-series": (0, 1, 2, 4),
        "truncated": (0, 1, 2, 4),
        "kernel-exact": (-1, 0, 1, 2, 4),
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    for (name, orders), axis in zip(families.items(), axes, strict=True):
        for order in orders:
            error = derivative(Q, J, t, name, order=order) - exact
            axis.loglog(t, np.linalg.norm(error, 2, axis=(1, 2)) / size, label=f"order {order}")
        axis.set_title(f"{name}, d = {d}")
        axis.set_ylim(1e-16, 1e8)
        axis.set_xlabel("t")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("relative error, 2-norm")
    save(figure, "theory_higher_order.png")


def order_costs(d: int) -> None:
    """Time and relative error of truncations against an exact method, at t·gap = 0.1, 1, 10."""
    rng = np.random.default_rng(d)
    Q, J = random_rate_matrix(rng, d), unit_entry(rng, d)
    gap = spectral_gap(Q)
    print(f"d = {d}: method, order, milliseconds, relative 2-norm error at t·gap = 0.1, 1, 10")
    rows = [("midpoint", {}), ("kernel-exact", {}), ("asymptotic", {}), ("frechet", {})]
    rows = [("truncated", {"order": p}) for p in (0, 1, 2, 4, 8)] + rows
    for name, options in rows:
        errors = []
        for scaled in (0.1, 1.0, 10.0):
            exact = derivative(Q, J, scaled / gap, "block")
            error = derivative(Q, J, scaled / gap, name, **options) - exact
            errors.append(np.linalg.norm(error, 2) / np.linalg.norm(exact, 2))
        best = min(
            timeit.repeat(
                lambda n=name, o=options: derivative(Q, J, 1 / gap, n, **o), number=1, repeat=20
            )
        )
        shown = " ".join(f"{e:8.1e}" for e in errors)
        print(f"  {name:14s} {options.get('order', '')!s:3s} {1e3 * best:7.2f}  {shown}")


def sign_numbers() -> None:
    rng = np.random.default_rng(0)
    Q, J, t = random_rate_matrix(rng, 8), rng.normal(size=(8, 8)), 8.0
    Pi, G = kernel_projector(Q), group_inverse(Q)
    exact = derivative(Q, J, t, "frechet")
    minus = derivative(Q, J, t, "asymptotic")
    print(f"sign, d = 8, t = 8: minus {np.linalg.norm(minus - exact, 2):.1e}, ", end="")
    print(f"plus {np.linalg.norm(minus + 2 * G @ J @ Pi - exact, 2):.2f}")


def theorem_numbers() -> None:
    rng = np.random.default_rng(1)
    Q, J = random_rate_matrix(rng, 20), unit_entry(rng, 20)
    theorem = asymptotic_theorem(Q, J)
    C, kappa = theorem.constants(0.9 * spectral_gap(Q) * theorem.gap / spectral_gap(Q))
    print(f"theorem, Exp(1), d = 20: gap {spectral_gap(Q):.3f}; ", end="")
    print(", ".join(f"{n.name}: rate {n.rate:.3f} C1 {n.constant:.2f}" for n in decay_norms(Q)))
    print(f"  c0 {theorem.c0:.3g} c1 {theorem.c1:.3g}; C {C:.3g} kappa {kappa:.3g}")
    print("  t, error, certificate, (c0+c1 t)e^(-gt), C e^(-kappa t), hypothesis, reference")
    for t in (1e-3, 0.1, 0.3, 1.0, 2.0):
        error = derivative(Q, J, t, "asymptotic") - derivative(Q, J, t, "frechet")
        c = certificate(Q, J, t)
        print(
            f"  {t:6g} {np.linalg.norm(error, 2):9.2e} {c.bound:9.2e} {theorem.bound(t):9.2e} "
            f"{C * np.exp(-kappa * t):9.2e} {c.hypothesis} {c.reference}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    sign_numbers()
    order_costs(44)
    theorem_numbers()
    surrogate_picture((5, 20) if quick else (5, 20, 80))
    first_order_against_d((5, 20, 40) if quick else (5, 20, 40, 80, 160))
    higher_order_picture(20)
    spectrum_picture(100 if quick else 400)
    random_rates_picture((10, 30, 100) if quick else (10, 20, 50, 100, 200, 500, 1000))


if __name__ == "__main__":
    main()
