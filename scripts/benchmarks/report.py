"""Tables on the terminal, as Markdown, and rows as JSON."""

from __future__ import annotations

import json
from pathlib import Path

COLUMNS = ("method", "error", "seconds", "count", "memory", "ratio", "note")


def _cell(key: str, row: dict) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if key == "error":
        return f"{value:.0e}"
    if key == "seconds":
        return ("≈ " if row.get("note") == "extrapolated" else "") + f"{value:.3g}"
    if key == "memory":
        return f"{value / 2**20:.0f} MB"
    if key == "ratio":
        return f"{value:.2f}" if value < 10.0 else f"{value:.0f}"
    return str(value)


def show(rows: list[dict], title: str) -> None:
    """One aligned table."""
    cells = [[_cell(key, row) for key in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in [list(COLUMNS), *cells]) for i in range(len(COLUMNS))]
    print(f"\n{title}")
    for line in [list(COLUMNS), *cells]:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(f"  {text}".rstrip(), flush=True)


def save(path: Path, machine: dict, rows: list[dict]) -> None:
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
