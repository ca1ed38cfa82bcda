"""From an experiment file to what is sampled: potential, prior, and what a draw means."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from advdiff.config.tables.models import ModelExperiment
from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.files import tables
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.prior import Prior
from advdiff.models.coefficients import independent_prior
from advdiff.models.quantum import QUANTITIES, Line, Measurements, QuantumModel
from advdiff.models.rate_matrix import RateMatrixModel, Transitions
from advdiff.sampling.layout import Data, Variable

DATA, TRUTH = "observations.file", "truth.file"


@dataclass(frozen=True)
class Posterior:
    """What the sampler is given.

    Attributes:
        potential, prior: Φ and the Gaussian it is relative to.
        surrogate: a potential for the gradient of trajectories, or None.
        cheap: a potential for the first stage of delayed acceptance, or None.
        variables: of a draw.
        observed, constant: the data.
        coordinates: of axes.
        digest: of the data.
    """

    potential: Potential
    prior: Prior
    surrogate: Potential | None
    cheap: Potential | None
    variables: dict[str, Variable]
    observed: dict[str, Data]
    constant: dict[str, Data]
    coordinates: dict[str, np.ndarray]
    digest: str

    def values(self, m) -> dict[str, np.ndarray]:
        """The variables of a draw, on all ranks (collective)."""
        model = self.potential.model
        x = model.unknowns.to_numpy(m)
        name = model.unknowns.parts[0].name
        return {name: x, **model.derived(x)}


def read(experiment: ModelExperiment, comm: MPI.Comm) -> tuple[dict, dict | None]:
    """The tables of data and truth (collective: rank 0 reads).

    Raises:
        InputError: naming file and row, on all ranks.
    """
    reader = {"rate-matrix": _read_transitions, "quantum": _read_measurements}
    return on_root(comm, lambda: reader[experiment.model.kind](experiment))


def build(experiment: ModelExperiment, data: dict, truth: dict | None, comm: MPI.Comm) -> Posterior:
    """The posterior on a communicator (collective), from what :func:`read` gave."""
    builder = {"rate-matrix": _rate_matrix, "quantum": _quantum}
    return builder[experiment.model.kind](experiment, data, truth, comm)


def _digest(table: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(table):
        digest.update(name.encode() + np.ascontiguousarray(table[name]).tobytes())
    return digest.hexdigest()


# -- rate matrices --------------------------------------------------------------------------------


def _read_transitions(experiment: ModelExperiment) -> tuple[dict, dict | None]:
    path, d = experiment.resolve(experiment.observations.file), experiment.model.states
    table = tables.columns(path, DATA, ("from", "to", "time"), ("count",))
    tables.states(table, ("from", "to"), d, path, DATA)
    table.setdefault("count", np.ones(len(table["time"])))
    for name in ("time", "count"):
        tables.refuse(table, table[name] <= 0, path, DATA, name, "write a positive number")
    if experiment.truth.file is None:
        return table, None
    path = experiment.resolve(experiment.truth.file)
    truth = tables.columns(path, TRUTH, ("from", "to", "rate"))
    tables.states(truth, ("from", "to"), d, path, TRUTH)
    tables.refuse(truth, truth["rate"] <= 0, path, TRUTH, "rate", "write a positive number")
    return table, truth


def _rate_matrix(experiment, data, truth, comm) -> Posterior:
    d, table = experiment.model.states, experiment.prior
    seen = Transitions.collect(data["from"], data["to"], data["time"], data["count"])
    model = RateMatrixModel(d, seen, comm)
    rates = None
    if truth is not None:
        matrix = np.full((d, d), np.nan)
        matrix[truth["from"].astype(int), truth["to"].astype(int)] = truth["rate"]
        rates = matrix[model.off]
    origin, target = np.nonzero(model.off)
    surrogate = None
    if experiment.sampler.gradient != "exact":
        surrogate = RateMatrixModel(d, seen, comm, experiment.sampler.gradient).potential()
    log = None if rates is None else np.log(rates)
    one = ("transition",)
    return Posterior(
        model.potential(),
        independent_prior(model.unknowns, table.mean, table.std),
        surrogate,
        None,
        {
            "log_rates": Variable({"rate": len(origin)}, "logarithm of the rate", log),
            "rates": Variable({"rate": len(origin)}, "rate", rates),
        },
        {"count": Data(seen.count, one, "how often it was seen")},
        {
            "from": Data(seen.origin, one, "state before"),
            "to": Data(seen.target, one, "state after"),
            "time": Data(seen.time, one, "time between"),
            "rate_from": Data(origin, ("rate",), "state the rate leaves"),
            "rate_to": Data(target, ("rate",), "state the rate goes to"),
        },
        {},
        _digest(data),
    )


# -- quantum --------------------------------------------------------------------------------------


def _read_measurements(experiment: ModelExperiment) -> tuple[dict, dict | None]:
    path, nodes = experiment.resolve(experiment.observations.file), experiment.model.nodes
    table = tables.columns(
        path,
        DATA,
        ("time", "node", "quantity", "value"),
        ("std",),
        {"quantity": {name: float(code) for name, code in QUANTITIES.items()}},
    )
    tables.states(table, ("node",), nodes, path, DATA)
    tables.refuse(table, table["time"] < 0, path, DATA, "time", "times begin at 0")
    std = experiment.observations.std
    if "std" not in table:
        if std is None:
            raise InputError(
                f"observations.std: missing, and {path} has no column 'std'; give the noise"
            )
        table["std"] = np.full(len(table["time"]), std)
    elif std is not None:
        raise InputError(
            f"observations.std = {std:g}: {path} has a column 'std', which says it; "
            "remove one of them"
        )
    tables.refuse(table, table["std"] <= 0, path, DATA, "std", "write a positive number")
    coarse = experiment.model.coarse
    if coarse is not None:
        off = table["node"] % (nodes // coarse) != 0
        remedy = f"it is no node of model.coarse = {coarse}; choose others"
        tables.refuse(table, off, path, DATA, "node", remedy)
    if experiment.truth.file is None:
        return table, None
    path = experiment.resolve(experiment.truth.file)
    truth = tables.columns(path, TRUTH, ("node", "V"))
    tables.states(truth, ("node",), nodes, path, TRUTH)
    return table, truth


def _quantum(experiment, data, truth, comm) -> Posterior:
    table, prior = experiment.model, experiment.prior
    packet = (table.packet.centre, table.packet.width, table.packet.momentum)

    def potential(nodes: int) -> Potential:
        line = Line(nodes, table.length, table.boundary == "periodic")
        node = data["node"] // (table.nodes // nodes)
        measured = Measurements.collect(data["time"], node, data["quantity"])
        # Σ|x|² = 1 on every grid: a coarse one has larger entries
        size = np.sqrt(table.nodes / nodes)
        scale = np.where(data["quantity"] == QUANTITIES["density"], size**2, size)
        model = QuantumModel(line, line.packet(*packet), measured, table.modes, comm)
        return model.potential(scale * data["value"], scale * data["std"])

    exact = potential(table.nodes)
    model = exact.model
    std = prior.std * (1.0 + model.wave_numbers) ** -prior.decay
    mean = np.where(np.arange(table.modes) == 0, prior.mean, 0.0)
    V = None
    if truth is not None:
        V = np.full(table.nodes, np.nan)
        V[truth["node"].astype(int)] = truth["V"]
    one = ("reading",)
    return Posterior(
        exact,
        independent_prior(model.unknowns, mean, std),
        None,
        None if table.coarse is None else potential(table.coarse),
        {
            "coefficients": Variable({"mode": table.modes}, "coefficient of V"),
            "V": Variable({"node": table.nodes}, "potential energy", V),
        },
        {"value": Data(data["value"], one, "measured")},
        {
            "time": Data(data["time"], one, "time"),
            "reading_node": Data(data["node"].astype(int), one, "node"),
            "quantity": Data(data["quantity"].astype(int), one, "0 real, 1 imaginary, 2 density"),
            "std": Data(data["std"], one, "standard deviation of the noise"),
        },
        {"node": model.line.points},
        _digest(data),
    )
