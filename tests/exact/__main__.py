"""Tables of errors and orders, one a discretisation.

scripts/run python -m tests.exact                                all in one and two dimensions
scripts/run python -m tests.exact --on cg:2,dg:1,cg:1:tensor     these discretisations
scripts/run python -m tests.exact --cases "torus shear,Robin"    these cases
scripts/run mpirun -n 2 python -m tests.exact --levels 4         on four meshes each

Relative L² errors at the final time.  "order" is the one of the last two meshes; the spectral
table, on one mesh of 4 × 4 quadrilaterals, has c of e^{-c·degree} in its place.
"""

from __future__ import annotations

import argparse

from mpi4py import MPI

from advdiff.core.errors import ConvergenceError, InputError
from tests.exact import CASES, Discretization, Row, degrees, orders

METHODS = ("cg", "cip", "dg", "spectral")
DEFAULT = "cg:1,cg:2,cg:1:tensor,cg:2:tensor,cip:1,cip:2,dg:1,dg:2,spectral:3:tensor"
HEAD = f"{'method':9}{'degree':>6}  {'cells':14}{'case':22}{'n':>5}"
HEAD += f"{'theta':>11}{'order':>7}{'rho':>11}{'order':>7}"


def discretization(text: str) -> Discretization:
    """``method:degree`` or ``method:degree:tensor``."""
    method, degree, *rest = text.split(":")
    if method not in METHODS or not degree.isdigit() or rest not in ([], ["tensor"]):
        raise argparse.ArgumentTypeError(f"{text}: write e.g. cg:2 or spectral:4:tensor")
    return Discretization(method, int(degree), bool(rest))


def show(text: str) -> None:
    if MPI.COMM_WORLD.rank == 0:
        print(text, flush=True)


def line(on: Discretization, name: str, row: Row) -> str:
    cell = on.cell(CASES[name]().dim)
    start = f"{on.method:9}{on.degree:6}  {cell:14}{name:22}{row.n:5}"
    return f"{start}{row.theta:11.2e}{row.theta_order:7.2f}{row.rho:11.2e}{row.rho_order:7.2f}"


def table(on: Discretization, names: list[str], levels: int, method: str) -> None:
    """Every case on one discretisation."""
    show(f"\n{on}\n{HEAD}")
    for name in names:
        try:
            for row in orders(CASES[name](), on, levels, sensitivity={"method": method}):
                show(line(on, name, row))
        except (InputError, ConvergenceError) as error:
            show(f"{on.method:9}{on.degree:6}  {'':14}{name:22}  {error}")


def spectral(name: str) -> None:
    """One mesh, growing degree."""
    show(f"\nspectral on 4 × 4 quadrilaterals\n{HEAD}")
    tight = {"solver": {"tolerance": 1e-12}, "sensitivity": {"tolerance": 1e-11}}
    for row in degrees(CASES[name](), "spectral", 4, (2, 3, 4, 6, 8), **tight):
        show(line(Discretization("spectral", row.n, True), name, row._replace(n=4)))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.exact",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plane = ",".join(name for name, make in CASES.items() if make().dim < 3)
    parser.add_argument("--on", default=DEFAULT, help="discretisations, by commas")
    parser.add_argument("--cases", default=plane, help=f"of {', '.join(CASES)}")
    parser.add_argument("--levels", type=int, default=3, help="meshes a case (3)")
    parser.add_argument("--method", default="recurrence", help="of the sensitivity")
    parser.add_argument("--no-spectral", action="store_true", help="leave its table out")
    options = parser.parse_args()
    names = options.cases.split(",")
    if unknown := set(names) - set(CASES):
        parser.error(f"unknown case {', '.join(sorted(unknown))}; of {', '.join(CASES)}")
    try:
        chosen = [discretization(text) for text in options.on.split(",")]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    for on in chosen:
        table(on, names, options.levels, options.method)
    if not options.no_spectral:
        spectral("torus shear")


if __name__ == "__main__":
    main()
