"""The XDMF file by which ParaView opens a result: XML that points into the HDF5, without data."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import h5py

CELLS = {
    "interval": "Polyline",
    "triangle": "Triangle",
    "tetrahedron": "Tetrahedron",
}


def write(path: Path) -> Path:
    """Write ``path`` with the suffix ``.xdmf`` for the result file ``path`` (one rank).

    Scalars over time (``theta``, ``rho/*``) appear at every output time, steady fields at each of
    them too.  Returns the name of the file written.
    """
    with h5py.File(path, "r") as file:
        root = ET.Element("Xdmf", Version="3.0")
        domain = ET.SubElement(root, "Domain")
        times = file["time"][...] if "time" in file else [0.0]
        series = ET.SubElement(
            domain, "Grid", Name="advdiff", GridType="Collection", CollectionType="Temporal"
        )
        moving, steady = _fields(file)
        for k, time in enumerate(times):
            grid = ET.SubElement(series, "Grid", Name=f"t{k}", GridType="Uniform")
            ET.SubElement(grid, "Time", Value=repr(float(time)))
            _mesh(grid, file, path.name)
            for name in moving:
                _attribute(grid, name, _row(file[name], k, path.name))
            for name in steady:
                _steady(grid, name, file[name], path.name)
    target = path.with_suffix(".xdmf")
    ET.indent(root)
    target.write_text(
        '<?xml version="1.0" ?>\n' + ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8"
    )
    return target


def _fields(file: h5py.File) -> tuple[list[str], list[str]]:
    vertices = file["mesh/geometry"].shape[0]
    moving, steady = [], []

    def visit(name, item):
        if not isinstance(item, h5py.Dataset) or name.startswith("mesh/"):
            return
        labels = [dim.label for dim in item.dims]
        if labels == ["time", "vertex"]:
            moving.append(name)
        elif labels[:1] == ["vertex"] and item.shape[0] == vertices and not item.is_scale:
            steady.append(name)

    file.visititems(visit)
    return moving, steady


def _item(parent, dataset: h5py.Dataset, name: str, **extra: str):
    kind = "Int" if dataset.dtype.kind == "i" else "Float"
    item = ET.SubElement(
        parent,
        "DataItem",
        Dimensions=" ".join(map(str, dataset.shape)),
        NumberType=kind,
        Precision="8",
        Format="HDF",
        **extra,
    )
    item.text = f"{name}:{dataset.name}"
    return item


def _mesh(grid, file: h5py.File, name: str) -> None:
    cells, points = file["mesh/topology"], file["mesh/geometry"]
    kind = str(file["mesh"].attrs["cell"])
    topology = ET.SubElement(
        grid, "Topology", TopologyType=CELLS[kind], NumberOfElements=str(cells.shape[0])
    )
    if kind == "interval":
        topology.set("NodesPerElement", "2")
    _item(topology, cells, name)
    dim = points.shape[1]
    geometry = ET.SubElement(grid, "Geometry", GeometryType={1: "X_Y_Z", 2: "XY", 3: "XYZ"}[dim])
    _item(geometry, points, name)
    if dim == 1:
        for _ in range(2):
            zero = ET.SubElement(
                geometry,
                "DataItem",
                ItemType="Function",
                Function="0*$0",
                Dimensions=str(points.shape[0]),
            )
            _item(zero, points, name)


def _row(dataset: h5py.Dataset, row: int, name: str):
    count = dataset.shape[1]
    slab = ET.Element("DataItem", ItemType="HyperSlab", Dimensions=str(count), Type="HyperSlab")
    selection = ET.SubElement(slab, "DataItem", Dimensions="3 2", Format="XML")
    selection.text = f"{row} 0 1 1 1 {count}"
    _item(slab, dataset, name)
    return slab


def _column(dataset: h5py.Dataset, column: int, name: str):
    count = dataset.shape[0]
    slab = ET.Element("DataItem", ItemType="HyperSlab", Dimensions=str(count), Type="HyperSlab")
    selection = ET.SubElement(slab, "DataItem", Dimensions="3 2", Format="XML")
    selection.text = f"0 {column} 1 1 {count} 1"
    _item(slab, dataset, name)
    return slab


def _attribute(grid, name: str, item, kind: str = "Scalar") -> None:
    attribute = ET.SubElement(grid, "Attribute", Name=name, AttributeType=kind, Center="Node")
    attribute.append(item)


def _steady(grid, name: str, dataset: h5py.Dataset, file: str) -> None:
    if dataset.ndim == 1:
        item = ET.Element("DataItem")
        parent = ET.Element("unused")
        item = _item(parent, dataset, file)
        _attribute(grid, name, item)
        return
    count, dim = dataset.shape
    parts = [_column(dataset, i, file) for i in range(dim)]
    function = "JOIN(" + ", ".join([f"${i}" for i in range(dim)] + ["0*$0"] * (3 - dim)) + ")"
    joined = ET.Element("DataItem", ItemType="Function", Function=function, Dimensions=f"{count} 3")
    joined.extend(parts)
    _attribute(grid, name, joined, "Vector")
