#!/usr/bin/env bash
# gmsh 4.15.2, 2026-11-30.
#
# Two physical groups of curves, both named "wall", by model.addPhysicalGroup(..., name=...), as one names
# the two banks of a river.
#
# Expected: two groups of that name (names are labels beside the tags), or an error.
# Seen:     the second has no name, in the model and in the .msh written; nothing is said.
# nschloe/pygmsh issue 410 met the empty name and forbade repeated ones there.
source "$(dirname "$0")/common.sh"
packages gmsh==4.15.2
stated <<'PY'
from pathlib import Path

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
rectangle = gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
gmsh.model.occ.synchronize()
gmsh.model.addPhysicalGroup(2, [rectangle], 9, "water")
gmsh.model.addPhysicalGroup(1, [1], 1, "wall")
gmsh.model.addPhysicalGroup(1, [3], 2, "wall")
names = [gmsh.model.getPhysicalName(1, tag) for tag in (1, 2)]
gmsh.model.mesh.generate(2)
gmsh.write("two.msh")
written = Path("two.msh").read_text().split("$EndPhysicalNames")[0].count('"wall"')
print("gmsh", gmsh.__version__, "names of the two groups:", names, "names written:", written)
gmsh.finalize()
assert names == ["wall", ""] and written == 1, "both groups are named"
PY
