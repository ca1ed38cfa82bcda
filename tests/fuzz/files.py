"""Files that an experiment reads, good ones and spoilt ones: tables, grids, meshes, results."""

from __future__ import annotations

import io
import math
import re
from functools import cache

import h5py
import numpy as np
from hypothesis import strategies as st

from tests.fuzz import values

NAN, INF = math.nan, math.inf

# -- good ones ------------------------------------------------------------------------------------


def csv() -> bytes:
    """Measurements."""
    return b"x,y,t,value,std\n.5,.5,.1,.5,.1\n.25,.5,.1,.2,.1\n.5,.5,.05,.4,.1\n"


def jumps() -> bytes:
    """Transitions of a Markov chain with three states."""
    return b"from,to,time,count\n0,1,.5,3\n1,2,.5,2\n2,0,1,1\n"


def waves() -> bytes:
    """Measurements of a wave function."""
    return b"time,node,quantity,value,std\n.1,1,real,.2,.1\n.2,3,density,.1,.1\n"


def hdf5(content: dict, attributes: dict | None = None) -> bytes:
    """An HDF5 file of datasets by name."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in content.items():
            file[name] = value
        file.attrs.update(attributes or {})
    return buffer.getvalue()


@cache
def grid() -> bytes:
    """A velocity on a grid, NetCDF-4, with dimension scales."""
    buffer = io.BytesIO()
    axes = {"x": np.linspace(-0.5, 1.5, 6), "y": np.linspace(-0.5, 1.5, 5)}
    with h5py.File(buffer, "w") as file:
        for name, points in axes.items():
            file[name] = points
            file[name].make_scale(name)
        for name, values_ in (("u", np.zeros((5, 6))), ("v", np.ones((5, 6)) * 0.0)):
            file[name] = values_
            file[name].dims[0].attach_scale(file["y"])
            file[name].dims[1].attach_scale(file["x"])
    return buffer.getvalue()


SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 0.5)]
CELLS = [(1, 2, 5), (2, 3, 5), (3, 4, 5), (4, 1, 5)]
SIDES = [(1, 2), (2, 3), (3, 4), (4, 1)]


def msh(
    nodes=SQUARE, cells=CELLS, sides=SIDES, names=((1, 1, "wall"), (2, 2, "water")), kind: int = 2
) -> bytes:
    """A mesh in gmsh's format 2.2: nodes (x, y[, z]), cells and sides by node from 1."""
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$PhysicalNames", str(len(names))]
    lines += [f'{dim} {tag} "{name}"' for dim, tag, name in names]
    lines += ["$EndPhysicalNames", "$Nodes", str(len(nodes))]
    for i, node in enumerate(nodes):
        lines.append(" ".join(map(str, (i + 1, *node, *([0] * (3 - len(node)))))))
    lines += ["$EndNodes", "$Elements", str(len(cells) + len(sides))]
    number = 0
    for entries, element, tag in ((sides, 1, 1), (cells, kind, 2)):
        for entry in entries:
            number += 1
            lines.append(" ".join(map(str, (number, element, 2, tag, tag, *entry))))
    return ("\n".join([*lines, "$EndElements"]) + "\n").encode()


GOOD = {
    "obs.csv": csv,
    "jumps.csv": jumps,
    "waves.csv": waves,
    "grid.nc": grid,
    "mesh.msh": msh,
}

# -- any file -------------------------------------------------------------------------------------


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """A file cut short, with bytes overwritten, or with something put in."""
    kinds = ["cut", "twice", "empty", "insert", "zero", "flip"]
    is_hdf5 = content.startswith(b"\x89HDF")
    how = draw(st.sampled_from([*kinds, "flip", "flip", "flip"] if is_hdf5 else kinds))
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    if is_hdf5 and how == "flip":  # most of such a file is empty
        at = draw(st.sampled_from([m.start() for m in re.finditer(rb"[^\0]", content)]))
    if how == "cut":
        return content[:at]
    if how == "zero":
        return content[:at] + bytes(min(64, len(content) - at)) + content[at + 64 :]
    if how == "flip":
        return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if how == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=20)) + content[at:]
    return content + content if how == "twice" else b""


# -- tables ---------------------------------------------------------------------------------------

CELLS_OF_TABLES = [
    "0.1",
    "0.5",
    ".05",
    "1",
    "0",
    "-1",
    "2",
    "nan",
    "inf",
    "-inf",
    "1e309",
    "1e-320",
]
CELLS_OF_TABLES += ["", " ", "one", "1,5", "1_0", "0x1", "١", "=1+1", '"0.1"', '"', "'", "#", "1 2"]
CELLS_OF_TABLES += ["9" * 400, "\0", "é", "NA", "N/A", "null", "--", "1e", "real", "density", "1.5"]


@st.composite
def spoilt_csv(draw, good: bytes) -> bytes:
    """A table with cells, columns, separators, ends of lines or coding changed."""
    rows = [line.split(",") for line in good.decode().strip().split("\n")]
    for _ in range(draw(st.integers(1, 3))):
        edit = draw(
            st.sampled_from(
                ["cell", "cell", "header", "drop", "add", "order", "row", "copy", "raw"]
            )
        )
        row = draw(st.integers(0, len(rows) - 1))
        column = draw(st.integers(0, max(len(rows[row]) - 1, 0)))
        if not rows[row]:
            continue
        if edit == "cell":
            rows[row][column] = draw(
                st.sampled_from(CELLS_OF_TABLES) | st.text(values.LETTERS, max_size=4)
            )
        elif edit == "header":
            names = ["x", "X", "z", "t", "time", "valu", "", "std", "x ", "\ufeffx", "1"]
            rows[0][column % len(rows[0])] = draw(st.sampled_from(names))
        elif edit == "drop":
            for entries in rows:
                del entries[column : column + 1]
        elif edit == "add":
            rows[row].append(draw(st.sampled_from(CELLS_OF_TABLES)))
        elif edit == "order":
            rows[1:] = rows[:0:-1]
        elif edit == "row":
            del rows[row:]
            rows = rows or [[]]
        elif edit == "copy":
            rows += [list(entries) for entries in rows[1:]] * draw(st.sampled_from([1, 2, 500]))
        else:
            rows.insert(row, [draw(values.texts)])
    separator = draw(st.sampled_from([","] * 6 + [";", "\t", " ", ", ", "|"]))
    end = draw(st.sampled_from(["\n"] * 4 + ["\r\n", "\r", "\n\n", ";\n"]))
    text = end.join(separator.join(entries) for entries in rows)
    coding = draw(st.sampled_from(["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"]))
    return text.encode(coding, "replace")


@st.composite
def odd_arrays(draw) -> object:
    """What a dataset may hold."""
    shape = draw(st.sampled_from([(3,), (3,), (3,), (0,), (1,), (), (3, 1), (2, 3), (4,), (1, 0)]))
    kind = draw(st.sampled_from(["f8", "f8", "f4", "f2", "i8", "i1", "u8", "?", "c16", "S3", "O"]))
    size = math.prod(shape)
    if kind == "S3":
        return np.full(shape, b"abc")
    if kind == "O":
        return np.full(shape, "é" if size else "", dtype=h5py.string_dtype())
    numbers = st.sampled_from([0.1, 0.5, 0.05, 0.25, 1.0, 0.0, -1.0, NAN, INF, -INF, 1e300, 2.0])
    with np.errstate(all="ignore"):
        flat = np.array(draw(st.lists(numbers, min_size=size, max_size=size)), dtype=float)
        if kind in ("i8", "i1", "u8", "?"):
            flat = np.nan_to_num(flat, nan=0, posinf=1, neginf=0).clip(0, 9)
        return flat.astype(kind).reshape(shape)


@st.composite
def spoilt_hdf5(draw) -> bytes:
    """Measurements in HDF5 of the wrong shapes, kinds, names and values, or a damaged file."""
    content = {k: np.full(3, 0.1) for k in ("x", "y", "t", "value", "std")}
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(hdf5(content)))
    group = draw(st.sampled_from(["", "", "observations/", "/a/", "observations/x/"]))
    for name in draw(st.lists(st.sampled_from(list(content)), max_size=3)):
        edit = draw(st.sampled_from(["value", "value", "drop", "rename"]))
        if edit == "value" and name in content:
            content[name] = draw(odd_arrays())
        elif name in content:
            value = content.pop(name)
            if edit == "rename":
                content[draw(st.sampled_from(["X", "z", "valu", "é", "v/w"]))] = value
    return hdf5({group + name: value for name, value in content.items()})


# -- grids ----------------------------------------------------------------------------------------


@st.composite
def spoilt_grid(draw) -> bytes:
    """A gridded velocity with axes, shapes, attributes or values that will not do."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(grid()))
    buffer = io.BytesIO()
    nx, ny = (draw(st.sampled_from([6, 5, 2, 1, 0])) for _ in "xy")
    low, high = draw(
        st.sampled_from([(-0.5, 1.5), (0, 1), (1.5, -0.5), (0, 0), (0.2, 2), (NAN, 1)])
    )
    names = draw(st.sampled_from([("x", "y"), ("lon", "lat"), ("a", "b"), ("y", "x"), ("é", "x")]))
    points = {names[0]: np.linspace(low, high, nx), names[1]: np.linspace(low, high, ny)}
    if draw(st.integers(0, 5)) == 0:
        points[names[0]] = draw(odd_arrays())
    with h5py.File(buffer, "w") as file:
        for name, along in points.items():
            file[name] = along
            if draw(st.booleans()):
                file[name].make_scale(name)
            file[name].attrs.update(draw(_attributes))
        shape = draw(st.sampled_from([(ny, nx), (ny, nx), (nx, ny), (2, ny, nx), (nx,), ()]))
        for name in ("u", "v"):
            if draw(st.integers(0, 5)) == 0:
                file[name] = draw(odd_arrays())
            else:
                field = np.zeros(shape)
                if field.size and draw(st.integers(0, 3)) == 0:
                    field.flat[draw(st.integers(0, field.size - 1))] = draw(
                        st.sampled_from([NAN, INF, 1e300, 1.0, -999.0])
                    )
                file[name] = field
            for axis, scale in enumerate(reversed(names)):
                if axis < file[name].ndim and file[scale].is_scale:
                    file[name].dims[axis].attach_scale(file[scale])
            file[name].attrs.update(draw(_attributes))
    return buffer.getvalue()


_attributes = st.dictionaries(
    st.sampled_from(
        [
            *("units", "axis", "standard_name", "positive", "_FillValue", "missing_value"),
            *("scale_factor", "add_offset", "valid_min", "valid_range", "_Unsigned", "flag_values"),
        ]
    ),
    st.sampled_from(
        [
            *("m s-1", "km", "K", "m", "true", "down", [0.0, 1.0], "m/" * 90, "µ²"),
            *("degrees_east", "X", "longitude", "days since 2000-01-01", "days since never", ""),
            *(0.0, 1, NAN, INF, 1e300, -999.0, "é", "1"),
        ]
    ),
    max_size=2,
)

# -- meshes ---------------------------------------------------------------------------------------

SCRIPTS = [
    f'SystemCall "touch {values.CANARY}";',
    f'NonBlockingSystemCall "touch {values.CANARY}";',
    f'Printf("x") > "{values.CANARY}";',
    f'Printf("x") >> "{values.CANARY}";',
    f'Save "{values.CANARY}";',
    f'Print "{values.CANARY}.png";',
    f'Include "{values.CANARY}";',
    f'Merge "{values.CANARY}";',
    f'OnelabRun("{values.CANARY}", "touch {values.CANARY}");',
    "Exit;",
    "Abort;",
    'Error("x");',
    "Point(1) = {0, 0",
    "Point(1) = {1/0, 0, 0};",
    "Plugin(MathEval).Run;",
    "",
    "Line(1) = {1, 2};",
    "é",
    "For i In {1:3} Point(i) = {i, 0, 0}; EndFor",
    'Physical Surface("water") = {1};',
    "Mesh.MeshSizeMax = -1;",
    "Delete Model;",
    'SetFactory("OpenCASCADE"); Sphere(1) = {0, 0, 0, 1};',
    'SetFactory("OpenCASCADE"); Sphere(1) = {0, 0, 0, -1}; Physical Volume("w") = {1};',
    'SetFactory("OpenCASCADE"); Rectangle(1) = {0, 0, 0, 1, 1}; Physical Surface("water") = {1};',
    'SetFactory("Nonsense");',
    "Macro a\nCall a;\nReturn\nCall a;",
]


@st.composite
def spoilt_msh(draw) -> bytes:
    """A mesh that is empty, inverted, flat, disconnected, of the wrong dimension, or damaged."""
    nodes, cells, sides = list(SQUARE), list(CELLS), list(SIDES)
    names, kind = [(1, 1, "wall"), (2, 2, "water")], 2
    edits = ["invert", "flat", "apart", "bent", "empty", "nowhere", "names", "kind", "nan", "same"]
    edits += ["twice", "node", "damage", "far"]
    chosen = draw(st.lists(st.sampled_from(edits), min_size=1, max_size=3))
    for edit in chosen:
        i = draw(st.integers(0, 3))
        if edit == "invert" and i < len(cells):
            cells[i] = cells[i][::-1]
        elif edit == "flat":
            nodes[4] = (0.5, 0.0)
        elif edit == "apart":
            n = len(nodes)
            nodes += [(5, 5), (6, 5), (5, 6)]
            cells.append((n + 1, n + 2, n + 3))
        elif edit == "bent":
            nodes[i] = (*nodes[i][:2], draw(st.sampled_from([1, 1e-12, 1e-300])))
        elif edit == "empty":
            cells, sides = draw(st.sampled_from([([], sides), ([], []), (cells, [])]))
        elif edit == "nowhere" and cells:
            cells[0] = (1, 2, draw(st.sampled_from([0, 99, -1, 10**12])))
        elif edit == "names":
            odd = [[], [(2, 2, "")], [(1, 1, "a\tb"), (2, 2, "é" * 200)], [(3, 2, "x")]]
            names = draw(st.sampled_from([*odd, [(1, 1, "wall"), (1, 1, "gate"), (2, 2, "w")]]))
        elif edit == "kind":
            kind = draw(st.sampled_from([1, 3, 4, 5, 9, 15, 0, 99]))
        elif edit == "nan":
            nodes[i] = draw(st.sampled_from([(NAN, 0), (INF, 0), (1e300, 0), ("x", 0)]))
        elif edit == "same":
            nodes[i] = nodes[4]
        elif edit == "twice":
            cells += cells
        elif edit == "node":
            nodes.append((9, 9))
        elif edit == "far":
            nodes = [(1e9 * node[0], *node[1:]) for node in nodes if node[0] != "x"]
    content = msh(nodes, cells, sides, names, kind)
    return draw(damaged(content)) if "damage" in chosen else content


# -- results --------------------------------------------------------------------------------------


@st.composite
def spoilt_result(draw, good: bytes) -> bytes:
    """A result with datasets dropped or replaced, attributes changed, or the file damaged."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(good))
    buffer = io.BytesIO(good)
    with h5py.File(buffer, "r+") as file:
        found: list[str] = []
        file.visit(found.append)
        for _ in range(draw(st.integers(1, 2))):
            name = draw(st.sampled_from(sorted(found)))
            if name not in file:
                continue
            edit = draw(st.sampled_from(["drop", "replace", "values", "attribute", "unset"]))
            if edit in ("drop", "replace"):
                del file[name]
                if edit == "replace":
                    file[name] = draw(odd_arrays())
            elif edit == "values" and isinstance(file[name], h5py.Dataset):
                if file[name].dtype.kind in "fi" and file[name].size:
                    low = 0 if file[name].dtype.kind == "i" else NAN
                    file[name][...] = draw(st.sampled_from([0, -1, 10**9, low]))
            elif edit == "attribute":
                target = draw(st.sampled_from([file, file[name]]))
                known = sorted(target.attrs)
                odd = st.sampled_from(
                    ["", "é", 0, -1, NAN, np.zeros(0), np.zeros(3), True, "sample"]
                )
                if known:
                    target.attrs[draw(st.sampled_from(known))] = draw(odd)
            else:
                target = draw(st.sampled_from([file, file[name]]))
                for key in sorted(target.attrs)[:1]:
                    del target.attrs[key]
    return buffer.getvalue()
