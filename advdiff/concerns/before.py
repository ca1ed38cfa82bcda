"""What a mesh, a flow and a boundary give to think of, before anything is solved.

All of it is a few scalars or one number a cell, assembled; collective, and cheap beside one product
with the matrix a time step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from advdiff.concerns import data
from advdiff.core import compat, jit
from advdiff.domain.resolution import WARNED, Resolution
from advdiff.equation.discretization import damped
from advdiff.equation.operator import Operator
from advdiff.equation.velocity import DIVERGENCE
from advdiff.files.concerns import Concern, percent
from advdiff.problem.transport import Transport

LEAK = 1e-3
"""Of the largest speed; less across a wall is what interpolation, or a polygon's corners, leave."""
TINY = 1e-300


class Extreme(NamedTuple):
    """The largest of a number a cell, and the share of the domain or boundary where it is > 1."""

    largest: float
    share: float


def concerns(problem: Transport, divergence: float | None = None) -> list[Concern]:
    """Of the present velocity and diffusivity of a problem, and of its data (collective).

    Args:
        divergence: of the velocity, relative, where it is known.
    """
    operator = problem.operator
    found = [*under_resolved(problem.resolutions), _steep(problem), data.jump(operator)]
    found.append(_one_number(problem))
    flows = operator.velocity.given is not None or operator.velocity.stream is not None
    speed = operator.velocity.largest_speed() if flows else 0.0
    if speed > 0.0:
        found += [
            _mesh_peclet(operator),
            _boundary_layer(problem),
            *_crossings(problem, speed),
            _divergence(operator, divergence),
            data.turn(operator, speed),
        ]
    return [concern for concern in found if concern is not None]


def _one_number(problem: Transport) -> Concern | None:
    nodal = any(flow.family == "nodal" for flow in problem.experiment.unknowns.flows)
    if problem.domain.dim > 1 or not nodal:
        return None
    return Concern(
        "one-number",
        "unknowns.velocity.family = 'nodal' in one dimension, where a flow without sources is one "
        "number, and readings rarely say more; write family = 'uniform'",
        float(problem.domain.num_vertices),
    )


def _steep(problem: Transport) -> Concern | None:
    share = problem.steep.get("physics.diffusivity", 0.0)
    if not share > 0.0:
        return None
    return Concern(
        "steep-diffusivity",
        f"the diffusivity changes within {percent(share)} of the cells more than degree "
        f"{problem.operator.degree} can follow and stay positive: it is taken linear between "
        "vertices; refine the mesh there, or lay lines of the mesh along the layers",
        share,
    )


def under_resolved(resolutions: Mapping[str, Resolution]) -> list[Concern]:
    """Of the release, by its key, that the mesh has changed most."""
    key = max(resolutions, key=lambda key: resolutions[key].missed, default=None)
    if key is None or not resolutions[key].missed > WARNED:
        return []
    return [Concern("under-resolved", resolutions[key].said(key), resolutions[key].missed)]


def mesh_peclet(operator: Operator) -> Extreme:
    """|u|h/2κ in the middle of each cell, h its width along u over the degree (collective).

    The width of a cell along u: 2|u|/Σ|u·∇φ| over the corners' functions φ of a simplex (Tezduyar
    and Park 1986), |u|/max|û| for the components û of u in the reference cell of a box.
    """
    domain, u = operator.domain, operator.velocity.expression
    inner = ufl.dot(ufl.JacobianInverse(domain.mesh), u)
    parts = [inner[i] for i in range(domain.dim)]
    if domain.is_simplicial:
        turns = sum(abs(part) for part in parts) + abs(sum(parts))
    else:
        turns = 2.0 * reduce(ufl.max_value, map(abs, parts))
    kappa = _linear(operator.diffusivity) * max(1, operator.degree)
    peclet = ufl.dot(u, u) / ufl.max_value(kappa * turns, TINY)
    space = fem.functionspace(domain.mesh, ("DG", 0))
    values = fem.Function(space)
    values.interpolate(jit.expression(peclet, compat.interpolation_points(space)))
    volumes = fem.assemble_vector(jit.form(ufl.TestFunction(space) * domain.dx))
    return _extreme(space, values.x.array, volumes.array)


def _linear(kappa: fem.Function) -> fem.Function:
    """The linear function of the vertices: positive in the middle of a cell as it is there."""
    space = kappa.function_space
    if space.element.basix_element.degree == 1:
        return kappa
    result = fem.Function(fem.functionspace(space.mesh, ("Lagrange", 1)))
    result.interpolate(kappa)
    return result


def layer_peclet(operator: Operator, names: Sequence[str]) -> Extreme:
    """h/2δ at boundary parts, δ = κ/(u·n) where the flow leaves, 0 elsewhere; h the height of the
    cell there over the degree (collective).
    """
    domain, kind = operator.domain, operator.discretization
    ds = domain.ds(tuple(domain.tags[name] for name in names))
    u_n = ufl.dot(operator.velocity.expression, ufl.FacetNormal(domain.mesh))
    ratio = 0.5 * kind.height() * ufl.max_value(u_n, 0.0) / operator.diffusivity
    space = fem.functionspace(domain.mesh, ("DG", 0))
    phi = ufl.TestFunction(space)
    total, areas = (
        fem.assemble_vector(jit.form(form)).array
        for form in (ratio / max(1, kind.degree) * phi * ds, phi * ds)
    )
    return _extreme(space, total / np.maximum(areas, TINY), areas)


def _extreme(space: fem.FunctionSpace, values: np.ndarray, weights: np.ndarray) -> Extreme:
    owned, comm = space.dofmap.index_map.size_local, space.mesh.comm
    values, weights = values[:owned], weights[:owned]
    largest = comm.allreduce(float(values.max(initial=0.0)), MPI.MAX)
    above, total = (
        comm.allreduce(float(part.sum()), MPI.SUM) for part in (weights[values > 1.0], weights)
    )
    return Extreme(largest, above / total if total > 0.0 else 0.0)


def _mesh_peclet(operator: Operator) -> Concern | None:
    largest, share = mesh_peclet(operator)
    if not largest > 1.0:
        return None
    is_damped = operator.discretization.is_damped
    what = "would be smeared over a cell" if is_damped else "would oscillate"
    remedy = f"take cells {largest:.2g} times smaller or a higher discretization.degree"
    remedy += "" if is_damped else f", or method = {damped()}"
    return Concern(
        "mesh-peclet",
        f"mesh Péclet number |u|h/2κ up to {largest:.3g}, above 1 in {percent(share)} of the "
        f"domain: fronts as thin as κ/|u| {what}; {remedy}",
        largest,
    )


def _boundary_layer(problem: Transport) -> Concern | None:
    operator, names = problem.operator, {}
    for condition in problem.conditions:
        names[condition.part] = condition.makes_layer and names.get(condition.part, True)
    crossing = operator.velocity.crossing
    names = [name for name, layer in names.items() if layer and crossing(name)[0] > 0.0]
    if not names:
        return None
    largest, share = layer_peclet(operator, names)
    if not largest > 1.0:
        return None
    return Concern(
        "boundary-layer",
        f"boundary layer of thickness κ/(u·n) where the flow leaves through "
        f"{', '.join(names)}: half a cell there is up to {largest:.3g} times as thick, in "
        f"{percent(share)} of them; refine the mesh there, or leave an outlet without a condition",
        largest,
    )


def _crossings(problem: Transport, speed: float) -> list[Concern]:
    """Of a flow through boundary that is neither in domain.open nor given a value it carries in,
    and of one that comes in at an outlet.
    """
    operator = problem.operator
    tags, outlets = list(operator.domain.tags), problem.experiment.domain.open
    given = {condition.part for condition in problem.conditions if condition.says_inflow}
    flows = {name: np.array(operator.velocity.crossing(name)) for name in tags}
    whole = np.array(operator.velocity.crossing(None))
    rest = whole - sum(flows.values())
    walls = {f"'{name}'": flows[name] for name in tags if name not in (*given, *outlets)}
    if rest[2] > 1e-9 * whole[2]:
        walls["parts without a name"] = rest
    leaks = {
        name: (leaving, entering)
        for name, (leaving, entering, area) in walls.items()
        if leaving + entering > LEAK * speed * area
    }
    back = {
        name: flows[name][1]
        for name in outlets
        if name not in given and flows[name][1] > LEAK * speed * flows[name][2]
    }
    found = []
    if leaks:
        shown = ", ".join(
            f"{name} ({leaving:.3g} out, {entering:.3g} in)"
            for name, (leaving, entering) in leaks.items()
        )
        found.append(
            Concern(
                "closed-wall",
                f"the flow crosses closed walls, {shown} a unit of time, and carries tracer with "
                "it; name outlets in domain.open, give inlets physics.inflow, or mend the velocity",
                float(sum(map(sum, leaks.values()))),
            )
        )
    if back:
        shown = ", ".join(f"'{name}' ({entering:.3g})" for name, entering in back.items())
        found.append(
            Concern(
                "backflow",
                f"the flow comes in where no tracer is given, {shown} a unit of time; give "
                "physics.inflow there",
                float(sum(back.values())),
            )
        )
    return found


def _divergence(operator: Operator, value: float | None) -> Concern | None:
    value = operator.velocity.relative_divergence() if value is None else value
    if not value > DIVERGENCE:
        return None
    return Concern(
        "divergence",
        f"the velocity is not divergence free, |div u| = {value:.2g} |grad u| in L2: the tracer "
        "gains ½θ div u; give a stream function, or correct the data",
        value,
    )
