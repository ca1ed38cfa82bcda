#!/usr/bin/env python3
"""Draw two pictures of theory.md and print numbers of it (--quick: small sizes).

The others are those of the experiments surrogate_error and random_rates.
"""

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

HERE = Path(__file__).parent
DPI = 80


def save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(HERE / name, dpi=DPI)
    plt.close(figure)


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
    higher_order_picture(20)
    spectrum_picture(100 if quick else 400)


if __name__ == "__main__":
    main()
