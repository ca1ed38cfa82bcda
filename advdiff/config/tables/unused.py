"""Keys without effect: those of a choice not made are refused, tables of another task are named.

What a file leaves at its default is never found fault with.
"""

from __future__ import annotations

from advdiff.config.given import alternatives, is_given, refuse
from advdiff.config.tables.equation import SOLVERS
from advdiff.config.tables.flows import several
from advdiff.config.types import ExperimentFile, fault

OTHERS = {
    "solve": ("sensitivity", "observations", "unknowns", "prior", "optimizer", "sampler", "truth"),
    "sensitivity": ("observations", "unknowns", "prior", "optimizer", "sampler", "truth"),
    "invert": ("sensitivity", "sampler"),
    "sample": ("sensitivity", "optimizer"),
}
"""Task → the tables that it does not read, so that one file may serve several tasks."""
CHECKS = ("quadrature", "augmented")
"""Methods of [sensitivity] that are made of Krylov actions, whatever engine [solver] names."""


def require_used(experiment: ExperimentFile) -> None:
    """Raise a ``fault`` for a key that what the other tables say gives no meaning."""
    _require_used_solver(experiment)
    task, reduced = experiment.task, experiment.reduced
    if task == "invert" and reduced is not None and not reduced.compare:
        only = "an inversion without [reduced], or with reduced.compare = true,"
        refuse(experiment.optimizer, ["type"], only, "optimizer")
    if task == "sample" and reduced is not None:
        keys = ["compare", "model", "radius", "corrections", "box", "residuals", "sketch"]
        refuse(reduced, keys, "task = 'invert'", "reduced")
    unknowns = experiment.unknowns
    if experiment.laplace is not None and unknowns.velocity is None and unknowns.has_field:
        only = "an unknown velocity, or coefficients alone,"
        refuse(experiment.laplace, ["samples"], only, "laplace")
    if task in ("invert", "sample"):
        _require_used_prior(experiment)


def _require_used_solver(experiment: ExperimentFile) -> None:
    solver, table = experiment.solver, experiment.sensitivity
    kind = SOLVERS[solver.method]
    if experiment.task == "sensitivity" and table.method in CHECKS and not kind.is_krylov:
        krylov = [name for name, other in SOLVERS.items() if other.is_krylov]
        if is_given(solver, "method"):
            raise fault(
                ("solver", "method"),
                f"'{solver.method}' has no part in sensitivity.method = '{table.method}'; write "
                f"{alternatives(krylov)}, or remove it",
            )
        kind = SOLVERS[krylov[0]]
    for key in sorted({key for other in SOLVERS.values() for key in other.takes}):
        if key not in kind.takes:
            able = alternatives(name for name, other in SOLVERS.items() if key in other.takes)
            refuse(solver, [key], f"method = {able}", "solver")


def _require_used_prior(experiment: ExperimentFile) -> None:
    unknowns, prior = experiment.unknowns, experiment.prior
    flows, laws = unknowns.flows, several(prior.velocity)
    if isinstance(prior.velocity, list) and len(laws) != len(flows):
        raise fault(
            ("prior", "velocity"),
            f"{len(laws)} tables for {len(flows)} of unknowns.velocity; give one for each, or one",
        )
    for i, flow in enumerate(flows):
        law, *index = (laws[i], i) if isinstance(prior.velocity, list) else laws
        law.agree(flow, experiment.domain.dim, ("prior", "velocity", *index))
    for name, value in unknowns.named.items():
        law, number = getattr(prior, name), value is True and not unknowns.is_field(name)
        if number and "correlation_length" in type(law).model_fields:
            refuse(law, ["correlation_length"], f"unknowns.{name} = 'field'", "prior", name)


def unused(experiment: ExperimentFile) -> list[str]:
    """The tables that are given and that the task does not read, by their keys."""
    others = OTHERS[experiment.task]
    found = [name for name in others if is_given(experiment, name)]
    for table in ("prior", "truth"):
        if table in others:
            continue
        found += [
            f"{table}.{name}"
            for name in type(getattr(experiment, table)).model_fields
            if name not in experiment.unknowns.named and is_given(getattr(experiment, table), name)
        ]
    return found
