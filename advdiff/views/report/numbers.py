"""The numbers of a result file, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

MOST_ROWS = 60
"""Of a history; of longer ones evenly spaced rows are shown."""
MOST_COEFFICIENTS = 100

GROUPS = {
    "estimate": "Estimate",
    "solver": "Solver",
    "laplace": "Laplace approximation",
    "reduced": "Reduced models",
    "sample_stats": "Chains",
}
"""Groups whose attributes are numbers worth a table → title."""
STRUCTURE = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS")


class Table(NamedTuple):
    """A table: names of the columns (none: names and values), and rows of words and numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple]
    note: str = ""


def tables(file: h5py.File) -> Iterator[Table]:
    """Every table that a result allows."""
    yield from _posterior(file)
    for name, title in GROUPS.items():
        if name in file:
            yield from _attributes(file[name], title)
    for kind in ("rho", "surrogate"):
        for name, group in file.get(kind, {}).items():
            yield from _attributes(group, f"{kind} {name}", skip=("long_name", "units"))
    if "history" in file:
        yield _history(file["history"])


def _attributes(group: h5py.Group, title: str, skip: tuple[str, ...] = ()) -> Iterator[Table]:
    rows = []
    for name, value in group.attrs.items():
        if name in STRUCTURE or name in skip or name.startswith("_"):
            continue
        entries = np.atleast_1d(value)
        if entries.dtype.kind in "iufbSUO" and 0 < len(entries) <= 16 and str(value) != "":
            shown = ", ".join(map(short, entries)) if len(entries) > 1 else short(entries[0])
            rows.append((name.replace("_", " "), shown))
    if rows:
        yield Table(title, (), rows)


def _posterior(file: h5py.File) -> Iterator[Table]:
    """Mean, spread, quantiles and diagnostics of every variable of the chains."""
    for name, dataset in file.get("posterior", {}).items():
        if dataset.ndim < 2:
            continue
        draws = dataset[:].reshape(dataset.shape[0] * dataset.shape[1], -1)
        columns = [draws.mean(0), draws.std(0), *np.quantile(draws, (0.05, 0.95), axis=0)]
        titles = ["", "mean", "std", "5 %", "95 %"]
        for path, title in (
            (f"truth/{name}", "truth"),
            (f"diagnostics/{name}/rhat", "R̂"),
            (f"diagnostics/{name}/ess_bulk", "effective draws"),
        ):
            if path in file and file[path].size == draws.shape[1]:
                columns.append(np.ravel(file[path][()]))
                titles.append(title)
        count = draws.shape[1]
        rows = [(k, *(float(c[k]) for c in columns)) for k in range(min(count, MOST_COEFFICIENTS))]
        note = f"The first {len(rows)} of {count}." if count > len(rows) else ""
        yield Table(f"Posterior of {name.replace('_', ' ')}", tuple(titles), rows, note)


def _history(group: h5py.Group) -> Table:
    names = [n for n in ("objective", "misfit", "gradient_norm", "solves", "seconds") if n in group]
    count = len(group["iteration"])
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    values = {name: group[name][:] for name in ("iteration", *names)}
    rows = [(int(values["iteration"][k]), *(values[n][k].item() for n in names)) for k in shown]
    note = f"{len(rows)} of {count} iterations." if count > len(rows) else ""
    return Table("History", ("iteration", *(n.replace("_", " ") for n in names)), rows, note)


def short(value) -> str:
    """A value in a few digits."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.5g}"
    return str(value)
