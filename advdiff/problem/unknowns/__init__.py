"""The kinds of unknowns, one a file."""

from __future__ import annotations

from advdiff.config.tables.experiment import Experiment
from advdiff.problem.unknowns.base import Kind
from advdiff.problem.unknowns.diffusivity import Diffusivity
from advdiff.problem.unknowns.initial import Initial
from advdiff.problem.unknowns.velocity import Flow

KINDS: tuple[type[Kind], ...] = (Flow, Diffusivity, Initial)
"""In the order of their parts in m."""


def kinds(experiment: Experiment) -> list[Kind]:
    """All kinds for an experiment, those that are known too."""
    return [kind(experiment) for kind in KINDS]
