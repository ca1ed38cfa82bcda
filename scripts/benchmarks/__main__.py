"""The engines beside their rivals, in one run and on the same matrices.

    scripts/bench [--quick | --full] [--only forward,gradient,backends,scaling] [--json FILE]

Seconds are the best of up to three runs, rivals in turn with ours, and include all that depends on
the matrix (bounds, factorisations, automatic choice) but not its assembly.  Error: of the states,
relative to ‖θ0‖, or of the gradient, relative to its norm, against a far tighter run of another
engine.  Memory: by how much the resident size rose during the run.  Ratio: to the fastest with an
error within three tolerances.  A rival over its limit, or hopeless on a coarser mesh, is skipped;
≈ is extrapolated from few steps.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import machine
import report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small meshes, under two minutes")
    parser.add_argument("--full", action="store_true", help="every row of the grid")
    parser.add_argument(
        "--only", default="forward,gradient,backends,scaling", help="parts, by commas"
    )
    parser.add_argument("--meshes", default="", help="forward on these alone: 2-D 256,3-D 64")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - {"forward", "gradient", "backends", "scaling"}:
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    begun, rows, where = time.perf_counter(), [], machine.description()
    print(", ".join(f"{key} {value}" for key, value in where.items()), flush=True)

    def keep(found: list[dict], title: str) -> None:
        report.show(found, title)
        rows.extend(found)
        if options.json is not None:
            report.save(options.json, where, rows)

    if "forward" in parts:
        from forward import Forward, configurations, worst_auto

        forward = Forward()
        for configuration in configurations(options.quick, options.full):
            dim, n = configuration[:2]
            if options.meshes and f"{dim}-D {n}" not in options.meshes.split(","):
                continue
            found = list(forward.rows(configuration))
            for tolerance in configuration[4]:
                table = [row for row in found if row["tolerance"] == tolerance]
                first = table[0]
                keep(
                    table,
                    f"forward, {first['case']} (N = {first['N']}), κ = {first['kappa']:g}, "
                    f"T = {first['T']:g}, tolerance {tolerance:g}",
                )
        slow = worst_auto([row for row in rows if row["N"] >= 129**2])
        print("\nauto slower than 1.2 × the fastest:", "; ".join(slow) or "nowhere")
    if "gradient" in parts:
        import gradient

        for found, title in gradient.tables(options.quick, options.full):
            keep(found, title)
    if "backends" in parts:
        import backends

        for found, title in backends.tables(options.quick):
            keep(found, title)
    if "scaling" in parts:
        import scaling

        for found, title in scaling.tables(options.quick):
            keep(found, title)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
