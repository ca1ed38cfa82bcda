"""What boundary data give to think of: values that jump, a flow that turns within a facet."""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core import jit
from advdiff.equation.conditions import Dirichlet, Inflow
from advdiff.equation.operator import Operator
from advdiff.files.concerns import Concern, percent

JUMP = 0.25
"""Of the range of the values that are held; a smaller step within a facet a mesh resolves."""
TURNS = 1e-3
"""Of the largest speed, through a facet in either direction."""


def jump(operator: Operator) -> Concern | None:
    """Of held values that differ where two parts meet, or are no straight line along a facet."""
    held = [c for c in operator.physics.conditions if isinstance(c, Dirichlet)]
    if not held:
        return None
    comm = operator.domain.comm
    low, high = _at_nodes(operator, held)
    known = high > -np.inf
    width = comm.allreduce(float(high[known].max(initial=-np.inf)), MPI.MAX)
    width -= comm.allreduce(float(low[known].min(initial=np.inf)), MPI.MIN)
    if not width > 0.0:
        return None
    steps = [float((high[known] - low[known]).max(initial=0.0))]
    steps += [_bend(operator, condition) for condition in held]
    step = comm.allreduce(max(steps), MPI.MAX)
    if not step > JUMP * width:
        return None
    return Concern(
        "dirichlet-jump",
        f"values held at the boundary ({', '.join(sorted(c.part for c in held))}) jump by "
        f"{step:.3g} between neighbouring nodes or where two parts meet: near there the error "
        "falls only like the size of a cell, whatever the degree; refine there, or smooth the "
        "values over some cells",
        step,
    )


def _at_nodes(operator: Operator, held: list[Dirichlet]) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value held at each node of this rank; infinite where none is."""
    domain, space = operator.domain, operator.discretization.data_space
    low, high = fem.Function(space), fem.Function(space)
    low.x.array[:] = high.x.array[:] = -np.inf
    for condition in held:
        facets = domain.facets([condition.part], condition.key)
        nodes = fem.locate_dofs_topological(space, domain.dim - 1, facets)
        values = condition.functions[0].x.array[nodes]
        low.x.array[nodes] = np.maximum(low.x.array[nodes], -values)
        high.x.array[nodes] = np.maximum(high.x.array[nodes], values)
    for function in (low, high):
        vector = function.x.petsc_vec
        vector.ghostUpdate(addv=PETSc.InsertMode.MAX_VALUES, mode=PETSc.ScatterMode.REVERSE)
    owned = space.dofmap.index_map.size_local
    return -low.x.array[:owned], high.x.array[:owned]


def _bend(operator: Operator, condition: Dirichlet) -> float:
    """By how much a value in the middle of a facet is off the mean of the corners', the largest on
    this rank.
    """
    domain, field = operator.domain, condition.fields[0]
    facets, dim = domain.facets([condition.part], condition.key), domain.dim - 1
    if dim == 0 or len(facets) == 0:
        return 0.0
    msh = domain.mesh
    corners = mesh.entities_to_geometry(msh, dim, facets)
    x = msh.geometry.x[corners]
    ends = field(x.reshape(-1, 3).T).reshape(corners.shape)
    middle = field(x.mean(axis=1).T)
    return float(np.abs(middle - ends.mean(axis=1)).max())


def turn(operator: Operator, speed: float) -> Concern | None:
    """Of facets with inflow through which the flow goes both ways."""
    domain = operator.domain
    parts = sorted({c.part for c in operator.physics.conditions if isinstance(c, Inflow)})
    if not parts or domain.dim == 1:
        return None
    ds = domain.ds(tuple(domain.tags[part] for part in parts))
    u_n = ufl.dot(operator.velocity.expression, ufl.FacetNormal(domain.mesh))
    phi = ufl.TestFunction(fem.functionspace(domain.mesh, ("DG", 0)))
    leaving, entering, area = (
        fem.assemble_vector(jit.form(quantity * phi * ds)).array
        for quantity in (ufl.max_value(u_n, 0.0), ufl.max_value(-u_n, 0.0), 1.0)
    )
    # a cell in a corner has two facets: the flow comes in through one, leaves through the other
    msh, facets = domain.mesh, domain.facets(parts, "physics.inflow")
    msh.topology.create_connectivity(domain.dim - 1, domain.dim)
    links = msh.topology.connectivity(domain.dim - 1, domain.dim)
    cells = np.array([links.links(facet)[0] for facet in facets], dtype=np.int64)
    single = np.bincount(cells, minlength=len(area)) == 1
    own = msh.topology.index_map(domain.dim).size_local
    both = (single & (np.minimum(leaving, entering) > TURNS * speed * area))[:own]
    count, total = domain.comm.allreduce(np.array([both.sum(), single[:own].sum()]))
    if count == 0:
        return None
    return Concern(
        "inflow-turns",
        f"the flow turns within {count} facets of parts with inflow, {percent(count / total)} of "
        f"those of {', '.join(parts)}: there |u·n| has a kink that quadrature smears; refine the "
        "boundary there, or divide the part where the flow turns",
        float(count),
    )
