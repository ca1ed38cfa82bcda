"""Data for rate_matrix and quantum from a stated truth: python experiments/make_chain_data.py"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from advdiff.matexp.rates.laws import random_rate_matrix
from advdiff.models.quantum import QUANTITIES, Line, Measurements, QuantumModel
from advdiff.models.rate_matrix import Transitions

HERE = Path(__file__).parent
SEED = 7


def write(name: str, header: tuple[str, ...], rows) -> None:
    with open(HERE / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def rate_matrix(d: int = 5, count: int = 600) -> None:
    """Exp(1) rates divided by d − 1 (one event in a unit of time), 600 looks at one path."""
    rng = np.random.default_rng(SEED)
    Q = random_rate_matrix(rng, d) / (d - 1)
    times = np.round(np.exp(rng.uniform(np.log(0.1), np.log(3.0), count)), 4)
    seen = Transitions.simulate(rng, Q, times)
    times = (f"{t:.4f}" for t in seen.time)
    rows = zip(seen.origin, seen.target, times, seen.count.astype(int), strict=True)
    write("rate_matrix.csv", ("from", "to", "time", "count"), rows)
    pairs = [(i, j, f"{Q[i, j]:.6f}") for i in range(d) for j in range(d) if i != j]
    write("rate_matrix_truth.csv", ("from", "to", "rate"), pairs)


def true_potential(x: np.ndarray, length: float) -> np.ndarray:
    """Two wells of different depth; no finite sum of waves."""
    first, second = (x / length - 0.3) / 0.08, (x / length - 0.7) / 0.12
    return 1.0 - 3.0 * np.exp(-0.5 * first**2) - 2.0 * np.exp(-0.5 * second**2)


def quantum(std: float = 0.03, nodes: int = 48) -> None:
    """|x|² at every fourth node at 12 times, Re x and Im x at two nodes; 0.03 noise."""
    rng = np.random.default_rng(SEED)
    line = Line(nodes, 10.0)
    V = true_potential(line.points, line.length)
    times = np.round(np.linspace(0.25, 3.0, 12), 4)
    rows = [(t, n, QUANTITIES["density"]) for t in times for n in range(0, nodes, 4)]
    rows += [(t, n, QUANTITIES[q]) for t in times for n in (12, 36) for q in ("real", "imaginary")]
    measured = Measurements.collect(*np.array(rows).T)
    model = QuantumModel(line, line.packet(4.0, 0.8, 1.0), measured, nodes)
    m = model.unknowns.from_numpy(np.linalg.solve(model.basis, V))
    values = model.observe(m) + std * rng.standard_normal(len(rows))
    words = {code: word for word, code in QUANTITIES.items()}
    write(
        "quantum.csv",
        ("time", "node", "quantity", "value"),
        ((t, n, words[q], f"{v:.6f}") for (t, n, q), v in zip(rows, values, strict=True)),
    )
    pairs = ((n, f"{v:.6f}") for n, v in enumerate(V))
    write("quantum_truth.csv", ("node", "V"), pairs)


if __name__ == "__main__":
    rate_matrix()
    quantum()
