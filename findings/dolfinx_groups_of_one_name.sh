#!/usr/bin/env bash
# DOLFINx 0.11.0 with gmsh 4.15.2, 2026-11-30.
#
# gmsh numbers and names physical groups for each dimension apart, and need not name them at all.
# dolfinx.io.gmsh returns them in a dict by name alone.
#
# Expected: as many entries as the mesh has groups, or an error.
# Seen:     of a curve and a surface both named "basin" the curve is lost, of three groups without a name
#           all but one; nothing is said.  (Their tags are there still.)
# PyFR pull request 580 mended the same assumption, about numbers, in PyFR.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}" gmsh==4.15.2
stated <<'PY'
import dolfinx_solver
import dolfinx
import gmsh
from dolfinx.io import gmsh as reader
from mpi4py import MPI


def groups(named):
    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    rectangle = gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
    gmsh.model.occ.synchronize()
    given = [(2, [rectangle]), *[(1, [side]) for side in named[1:]]]
    for (dim, entities), name in zip(given, [named[0], *[named[0]] * (len(named) - 1)]):
        gmsh.model.addPhysicalGroup(dim, entities, -1, name)
    gmsh.model.mesh.generate(2)
    data = reader.model_to_mesh(gmsh.model, MPI.COMM_SELF, 0, gdim=2)
    gmsh.finalize()
    print(f"{len(given)} groups, facet tags {sorted(set(data.facet_tags.values))}:", data.physical_groups)
    return len(given), len(data.physical_groups)


print("DOLFINx", dolfinx.__version__)
assert groups(["basin", 1]) == (2, 1), "groups of one name are told apart"
assert groups(["", 1, 3]) == (3, 1), "groups without a name are told apart"
PY
