"""Keys without effect: those of a choice not made are refused, tables of another task are named.

What a file leaves at its default is never found fault with.
"""

from __future__ import annotations

from advdiff.config.given import is_given, refuse
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
    krylov = solver.method in ("krylov", "expokit")
    if experiment.task == "sensitivity" and table.method in CHECKS:
        if not krylov and is_given(solver, "method"):
            raise fault(
                ("solver", "method"),
                f"'{solver.method}' has no part in sensitivity.method = '{table.method}'; write "
                "'krylov' or 'expokit', or remove it",
            )
        krylov = True
    if not krylov:
        refuse(solver, ["max_restarts"], "method = 'krylov' or 'expokit'", "solver")
        if solver.method != "shift-invert":
            only = "method = 'krylov', 'expokit' or 'shift-invert'"
            refuse(solver, ["dimension"], only, "solver")
    if krylov or solver.method == "shift-invert":
        refuse(solver, ["memory"], "method = 'auto' or 'faber'", "solver")


def _require_used_prior(experiment: ExperimentFile) -> None:
    unknowns, prior = experiment.unknowns, experiment.prior
    flow = unknowns.velocity
    if flow is not None:
        path = ("prior", "velocity")
        if flow.is_field:
            refuse(prior.velocity, ["decay", "spectrum"], "a velocity of modes", *path)
        else:
            only = "unknowns.velocity.family = 'stream' or 'nodal'"
            refuse(prior.velocity, ["correlation_length"], only, *path)
        if flow.family != "nodal":
            only = "unknowns.velocity.family = 'nodal'"
            refuse(prior.velocity, ["divergence_penalty"], only, *path)
        if prior.velocity.spectrum != "power":
            refuse(prior.velocity, ["decay"], "spectrum = 'power'", *path)
    if unknowns.diffusivity is True:
        only = "unknowns.diffusivity = 'field'"
        refuse(prior.diffusivity, ["correlation_length"], only, "prior", "diffusivity")


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
