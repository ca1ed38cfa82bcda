"""A gmsh file, read and checked in a process of its own: ``python -P meshing.py``.

gmsh executes scripts, which may run programs, write files or end the process, and it crashes on
some files that are cut short.  So a child reads the file (and meshes a ``.geo``), refuses what no
domain can be, and writes what the physical groups hold as a clean ``.msh`` for the ranks to read.
It needs gmsh and numpy alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np

SCRIPTED = re.compile(
    r"\b((?:SystemCall|NonBlockingSystemCall|OnelabRun|OnelabAction|ExternalProcess|Plugin|Exit"
    r"|Abort|Save|Print|Include|Merge\w*|Sleep|UnitTest)\b|(?:Solver|General)\s*\."
    r"|(?:Printf|Error|Warning)(?=\s*\([^;]*>))"
)
"""Commands of a script that run programs, read or write other files, or end the process."""
APART = re.compile(r"\"[^\"]*\"|'[^']*'|//[^\n]*|/\*.*?\*/", re.DOTALL)
"""Strings and comments, which are no commands."""
PATIENCE = 60
"""Seconds that a script may take to be read; meshing comes after."""
FLATTEST = 1e-12
"""Volume of a cell over the power of its longest edge, below which it has none."""
CORNERS = {
    2: [(0, 1)],  # line
    3: [(0, 1, 2)],  # triangle
    4: [(0, 1, 2, 3)],  # tetrahedron
}
CORNERS |= {
    "quadrilateral": [(i, (i + 1) % 4, (i + 3) % 4) for i in range(4)],
    "hexahedron": [(i, (i + 1) % 4, (i + 3) % 4, i + 4) for i in range(4)]
    + [(i + 4, (i + 3) % 4 + 4, (i + 1) % 4 + 4, i) for i in range(4)],
}
"""A corner of a cell and its neighbours there, right-handed."""
KINDS = {1: (2, 1), 2: (3, 2), 3: ("quadrilateral", 2), 4: (4, 3), 5: ("hexahedron", 3)}
"""gmsh's element types of order 1 → (key of ``CORNERS``, dimension)."""
SIDES = {
    1: [(0,), (1,)],
    2: [(0, 1), (1, 2), (2, 0)],
    3: [(0, 1), (1, 2), (2, 3), (3, 0)],
    4: [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)],
    5: [(0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)],
}
WRITTEN = {
    "Mesh.Binary": 1,
    "Mesh.MshFileVersion": 4.1,
    "Mesh.SaveAll": 0,
    "Mesh.ScalingFactor": 1,
}
"""How the clean mesh is written, whatever a script has set."""


class Refused(Exception):
    """What is wrong with the file; the remedy."""


def prepare(path: Path, clean: Path, mesh_size: float | None, most: list[float]) -> dict:
    """Let a child read ``path`` and write ``clean`` (local).

    Args:
        most: cells that the machine has room for, by dimension.

    Returns:
        ``dim`` and ``names`` (part → tag); or ``error``; or ``cells`` where these are too many.
    """
    from advdiff.core import child

    process = child.start(Path(__file__), str(path), str(clean), mesh_size, most, PATIENCE)
    done = child.finish(process)
    if done.answer is not None:
        return done.answer
    if done.code == -signal.SIGALRM:
        return {"error": f"gmsh has read {path} for {PATIENCE} s to no end; mend its loops"}
    how = f"signal {-done.code}" if done.code < 0 else f"exit code {done.code}"
    return {"error": f"gmsh cannot read {path}: it died of it ({how}); mend it"}


# -- in the child ---------------------------------------------------------------------------------


def require_harmless(path: Path) -> None:
    """Refuse scripts that do more than draw."""
    text = path.read_bytes().decode("latin-1")
    if path.suffix == ".msh":
        if not text.lstrip().startswith("$MeshFormat"):
            raise Refused(f"gmsh cannot read {path}: it does not begin with $MeshFormat; mend it")
        return
    found = SCRIPTED.search(APART.sub('""', text))
    if found:
        raise Refused(
            f"{path}: the command {' '.join(found[1].split())} of a script is not run here; remove "
            "it, or mesh the file by gmsh yourself and give the .msh"
        )


def read(
    path: Path, clean: Path, mesh_size: float | None, most: list[float], patience: int
) -> dict:
    """Read or mesh the file, check it and write it again."""
    require_harmless(path)
    try:
        import gmsh
    except (ImportError, OSError) as error:  # the second where libraries of a desktop are missing
        raise Refused(
            f"{path} needs the Python module gmsh ({error}); install it (Debian: python3-gmsh), or "
            "see advdiff doctor"
        ) from None
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    if mesh_size is not None:  # for a .geo that reads it: DefineConstant[ mesh_size = … ]
        gmsh.onelab.setNumber("mesh_size", [mesh_size])
    gmsh.logger.start()
    try:
        if path.suffix == ".geo":
            signal.alarm(patience)
        gmsh.open(str(path))
        signal.alarm(0)
        _join(gmsh.model, path)
        dim = gmsh.model.getDimension()
        if path.suffix == ".geo":
            if mesh_size is not None and dim > 0:
                cells = _cells(gmsh.model, dim, mesh_size)
                if cells > most[dim]:
                    return {"cells": cells, "dim": dim}
                gmsh.option.setNumber("Mesh.MeshSizeMax", mesh_size)
            gmsh.model.mesh.generate(dim)
    except Refused:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Refused(f"gmsh cannot read {path}: {reason}; mend it") from None
    names = check(gmsh.model, path)
    for option, value in WRITTEN.items():
        gmsh.option.setNumber(option, value)
    gmsh.write(str(clean))
    return {"dim": gmsh.model.getDimension(), "names": names}


def _join(model, path: Path) -> None:
    """A mesh that was divided for several processes becomes one again."""
    count = model.getNumberOfPartitions()
    if count == 0:
        return
    there = {
        part
        for entity in model.getEntities(model.getDimension())
        if len(model.mesh.getElements(*entity)[0])
        for part in model.getPartitions(*entity)
    }
    if len(there) < count:
        raise Refused(
            f"{path} holds {len(there)} of the {count} parts of a divided mesh; give the whole in "
            "one file, which is divided here"
        )
    model.mesh.unpartition()


def _cells(model, dim: int, mesh_size: float) -> float:
    """How many a .geo will have, about."""
    box = model.getBoundingBox(-1, -1)
    sides = [b - a for a, b in zip(box[:dim], box[3 : 3 + dim], strict=True)]
    return float(np.prod([max(s / mesh_size, 1.0) for s in sides])) * (1, 1, 2, 6)[dim]


def check(model, path: Path) -> dict[str, int]:
    """The names of the boundary parts; :class:`Refused` for what can be no domain."""
    dim = model.getDimension()
    kinds, cells = _elements(model, dim, path) if dim > 0 else ([], np.empty((0, 0), int))
    if len(cells) == 0:
        raise Refused(
            f"{path} has no physical group of cells; name the domain with "
            "'Physical Surface(\"water\") = {...};' (or Physical Volume)"
        )
    if len(kinds) != 1 or kinds[0] not in KINDS:
        raise Refused(f"{path} needs cells of one kind and order 1; mesh it so")
    tags, coordinates, _ = model.mesh.getNodes()
    x = np.full((int(tags.max()) + 1, 3), np.nan)
    x[tags] = coordinates.reshape(-1, 3)
    used = x[np.unique(cells)]
    if not (np.abs(used) < 1e100).all():
        raise Refused(f"{path} has a node whose place is no finite number; mesh it again")
    if np.ptp(used[:, dim:], axis=0).max(initial=0.0) > 0:
        remedy = f"a domain must be flat, in {', '.join('xyz'[:dim])}"
        if dim == 1:
            remedy = (
                "name the surface between the curves with 'Physical Surface(\"water\") = {...};'"
            )
        raise Refused(f"{path} is curved, cells of dimension {dim} in space; {remedy}")
    _require_sound(model, kinds[0], cells, x[:, :dim], path)
    names: dict[str, int] = {}
    for _, tag in model.getPhysicalGroups(dim - 1):
        name = model.getPhysicalName(dim - 1, tag) or str(tag)
        if name in names:
            raise Refused(
                f"{path}: the physical groups {names[name]} and {tag} are both called '{name}'; "
                "give each a name of its own, or make them one"
            )
        names[name] = int(tag)
    return names


def _elements(model, dim: int, path: Path) -> tuple[list[int], np.ndarray]:
    """Types and nodes of the elements in physical groups of a dimension."""
    found: dict[int, list[np.ndarray]] = {}
    for _, tag in model.getPhysicalGroups(dim):
        for entity in model.getEntitiesForPhysicalGroup(dim, tag):
            types, _, nodes = model.mesh.getElements(dim, entity)
            if len(types) != 1:
                what = "no elements" if len(types) == 0 else "elements of several kinds"
                name = model.getPhysicalName(dim, tag) or str(tag)
                raise Refused(f"{path}: part of the physical group '{name}' has {what}; mesh it so")
            width = model.mesh.getElementProperties(types[0])[3]
            found.setdefault(int(types[0]), []).append(nodes[0].reshape(-1, width).astype(int))
    if len(found) > 1:
        return list(found), np.empty((1, 0), int)
    parts = next(iter(found.values()), [np.empty((0, 0), int)])
    return list(found), np.concatenate(parts)


def _require_once(elements: np.ndarray, what: str, path: Path) -> None:
    rows, counts = np.unique(np.sort(elements, axis=1), axis=0, return_counts=True)
    if (counts > 1).any():
        raise Refused(
            f"{path}: the {what} of nodes {_nodes(rows[counts.argmax()])} is there twice, or in "
            "two physical groups; keep one"
        )


def _require_sound(model, kind: int, cells: np.ndarray, x: np.ndarray, path: Path) -> None:
    """Cells must have a volume, be there once, and lie on either side of what two of them share."""
    _require_once(cells, "cell", path)
    corners, dim = KINDS[kind]
    edges = x[cells[:, 1:]] - x[cells[:, :1]]
    longest = np.abs(edges).max(axis=(1, 2))
    volumes = []
    for corner in CORNERS[corners]:
        at = x[cells[:, corner]]
        size = np.where(longest > 0, longest, 1.0) ** dim
        volumes.append(np.linalg.det(at[:, 1:] - at[:, :1]) / size)
    smallest, largest = np.min(volumes, axis=0), np.max(volumes, axis=0)
    bad = (smallest <= FLATTEST) & (largest >= -FLATTEST)
    if bad.any():
        what = "has no size" if len(volumes) == 1 else "is flat or turned over at a corner"
        raise Refused(
            f"{path}: the cell of nodes {_nodes(cells[bad.argmax()])} {what}; move them, or mesh "
            "it again"
        )
    sides = np.sort(np.concatenate([cells[:, side] for side in SIDES[kind]]), axis=1)
    rows, which, counts = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    centres = np.tile(x[cells].mean(axis=1), (len(SIDES[kind]), 1))
    at = np.concatenate([x[sides[:, :dim]], centres[:, None]], axis=1)
    hand = np.sign(np.linalg.det(at[:, 1:] - at[:, :1]))  # of the side which the cell is on
    bad = np.abs(np.bincount(which.ravel(), hand)) + (counts - 1) != 1
    bad &= counts > 1
    if bad.any():
        raise Refused(
            f"{path}: the {counts[bad.argmax()]} cells at the side of nodes "
            f"{_nodes(rows[bad.argmax()])} overlap; remove one"
        )
    _, marked = _elements(model, dim - 1, path)
    _require_once(marked, "side", path)
    if len(marked):
        every, first = np.unique(
            np.concatenate([rows, np.sort(marked, axis=1)]), axis=0, return_index=True
        )
        if len(every) > len(rows):
            raise Refused(
                f"{path}: a physical group has a side of nodes {_nodes(every[first.argmax()])}, "
                "which no cell has; remove it"
            )


def _nodes(row: np.ndarray) -> str:
    return ", ".join(map(str, row))


if __name__ == "__main__":
    source, target, *others = json.loads(sys.argv[1])
    try:
        answer = read(Path(source), Path(target), *others)
    except Refused as refused:
        answer = {"error": str(refused)}
    print(f"\n{json.dumps(answer)}", flush=True)
    os._exit(0)  # nothing of gmsh's is worth a tidy end
