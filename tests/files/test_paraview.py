"""The VTKHDF file shows the result's own numbers, and VTK reads it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from advdiff.domain.mesh import Domain
from advdiff.domain.samples import CellSamples
from advdiff.files import paraview
from advdiff.results import store
from tests import flows

pytestmark = pytest.mark.serial

DOMAINS = {
    1: ('shape = "interval"\ncells = [7]', '["x"]'),
    2: ('shape = "rectangle"\ncells = [4, 3]', '["y", "-x"]'),
    3: ('shape = "box"\ncells = [2, 3, 2]', '["y", "-x", "z"]'),
}
TYPES = {1: 3, 2: 5, 3: 10}

READ = """
import json, sys
import vtk
reader = vtk.vtkHDFReader()
reader.SetFileName(sys.argv[1])
reader.UpdateInformation()
found = {"times": list(reader.GetOutputInformation(0).Get(
    vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS())), "steps": []}
for time in found["times"]:
    reader.UpdateTimeStep(time)
    grid = reader.GetOutputDataObject(0)
    data = grid.GetPointData()
    arrays = [data.GetArray(i) for i in range(data.GetNumberOfArrays())]
    found["steps"].append({
        "points": [grid.GetPoint(i) for i in range(grid.GetNumberOfPoints())],
        "cells": [[cell.GetPointId(k) for k in range(cell.GetNumberOfPoints())]
                  for cell in map(grid.GetCell, range(grid.GetNumberOfCells()))],
        "fields": {a.GetName(): [a.GetTuple(i) for i in range(a.GetNumberOfTuples())]
                   for a in arrays},
    })
json.dump(found, sys.stdout)
"""


def run(folder: Path, dim: int, name: str = "result.h5") -> Path:
    return flows.sensitivity(folder / name, dim, *DOMAINS[dim], outputs=3)


@pytest.fixture(scope="module", params=[1, 2, 3])
def result(request, tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp(f"dim{request.param}"), request.param)


def padded(values: np.ndarray) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, 3 - values.shape[1])))


def test_every_view_shows_the_result(result):
    """Shapes and offsets as VTKHDF 2.0 has them; the values are those of the result."""
    with h5py.File(result) as source, h5py.File(paraview.name(result)) as file:
        root, steps = file["VTKHDF"], file["VTKHDF/Steps"]
        points, cells = source["mesh/geometry"][:], source["mesh/topology"][:]
        count = len(source["time"])
        assert root.attrs["Type"] == b"UnstructuredGrid"
        np.testing.assert_array_equal(root["Points"], padded(points))
        np.testing.assert_array_equal(root["Connectivity"], cells.ravel())
        np.testing.assert_array_equal(root["Offsets"], cells.shape[1] * np.arange(len(cells) + 1))
        np.testing.assert_array_equal(root["Types"], TYPES[points.shape[1]])
        assert root["Types"].dtype == np.uint8
        for name, size in (
            ("Points", len(points)),
            ("Cells", len(cells)),
            ("ConnectivityIds", cells.size),
        ):
            assert root[f"NumberOf{name}"][:].tolist() == [size]
        assert steps.attrs["NSteps"] == count
        np.testing.assert_array_equal(steps["Values"], source["time"])
        assert set(root["PointData"]) == {"theta", "rho_kappa", "velocity", "initial"}
        for name, path in (("theta", "theta"), ("rho_kappa", "rho/kappa")):
            for k in range(count):
                start = steps["PointDataOffsets"][name][k]
                shown = root["PointData"][name][start : start + len(points)]
                np.testing.assert_array_equal(shown, source[path][k])
        np.testing.assert_array_equal(root["PointData/velocity"], padded(source["velocity"][:]))
        assert not np.any(steps["PointDataOffsets/velocity"])


def test_no_field_is_copied(result):
    """Points, cells and fields are virtual; cell types take no space."""
    with h5py.File(paraview.name(result)) as file:
        root = file["VTKHDF"]
        views = [root["Points"], root["Connectivity"], *root["PointData"].values()]
        assert all(view.is_virtual for view in views)
        assert {source.file_name for view in views for source in view.virtual_sources()} == {
            result.name
        }
        assert root["Types"].id.get_storage_size() == 0


def test_the_pair_may_move_but_not_part(result, tmp_path):
    """Names are relative; without the result the times are missing, so that VTK refuses."""
    shown = paraview.name(result)
    pair = [Path(shutil.copy(path, tmp_path)) for path in (result, shown)]
    with h5py.File(pair[1]) as file:
        assert np.any(file["VTKHDF/PointData/theta"])
    pair[0].unlink()
    with h5py.File(pair[1]) as file, pytest.raises(KeyError):
        file["VTKHDF/Steps/Values"]


def test_odd_names(tmp_path):
    """HDF5 takes % in a name for a format; dots and other suffixes are kept."""
    result = run(tmp_path, 1, "run 0.5 %b.out")
    assert paraview.name(result).name == "run 0.5 %b.out.vtkhdf"
    with h5py.File(paraview.name(result)) as file:
        assert np.any(file["VTKHDF/PointData/theta"])
    assert not list(tmp_path.glob(".*.partial"))


@pytest.fixture(params=["quadrilateral", "hexahedron"])
def tensor(request, tmp_path) -> Path:
    """A result on two by one (by one) cells, each with points of its own."""
    dim = {"quadrilateral": 2, "hexahedron": 3}[request.param]
    make = mesh.create_rectangle if dim == 2 else mesh.create_box
    upper, cells = [2.0, 1.0, 1.0][:dim], [2, 1, 1][:dim]
    msh = make(MPI.COMM_SELF, [[0.0] * dim, upper], cells, mesh.CellType[request.param])
    none = np.empty(0, np.int32)
    samples = CellSamples(Domain(msh, mesh.meshtags(msh, dim - 1, none, none), {}), 2)
    function = fem.Function(fem.functionspace(msh, ("DG", 0)))
    function.interpolate(lambda x: np.floor(x[0]))
    path = tmp_path / "tensor.h5"
    with store.create(path, samples, {"task": "solve"}) as file:
        file.scale("time", [0.0, 1.0])
        file.axis("vertex", samples.count)
        file.axis("dim", dim)
        file.mesh()
        file.fields("theta", [samples.values(function)] * 2, 2, "tracer")
    paraview.write(path)
    return path


def test_vtk_goes_round_its_cells(tensor):
    """Consecutive corners are neighbours; the values are those of the points."""
    with h5py.File(paraview.name(tensor)) as file:
        root, dim = file["VTKHDF"], 2 if file["VTKHDF/Types"][0] == 9 else 3
        assert root["Types"][0] == {2: 9, 3: 12}[dim]
        cells = root["Points"][:][root["Connectivity"][:].reshape(-1, 2**dim)]
        assert len(cells) == 2 * 2**dim
        around = np.roll(cells[:, :4], -1, axis=1) - cells[:, :4]
        # half of (1, 1, 1): a cell's lattice is of degree 2
        assert np.allclose(np.linalg.norm(around, axis=2), 0.5)
        assert np.allclose(around[:, :2], -around[:, 2:])
        if dim == 3:
            assert np.allclose(np.linalg.norm(cells[:, 4:] - cells[:, :4], axis=2), 0.5)
        theta = root["PointData/theta"][: len(root["Points"])]
        corners = theta[root["Connectivity"][:]].reshape(-1, 2**dim)
        assert np.array_equal(corners, np.floor(cells.mean(axis=1))[:, :1] + 0 * corners)


@pytest.mark.skipif(importlib.util.find_spec("vtk") is None, reason="needs VTK")
def test_vtk_reads_it(result):
    """Times, mesh, scalars and vectors as VTK's own reader sees them, at every step."""
    command = [sys.executable, "-c", READ, str(paraview.name(result))]
    # A process of its own: VTK brings another HDF5.
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    found = json.loads(answer.stdout)
    with h5py.File(result) as source:
        np.testing.assert_allclose(found["times"], source["time"])
        for k, step in enumerate(found["steps"]):
            np.testing.assert_array_equal(step["points"], padded(source["mesh/geometry"][:]))
            np.testing.assert_array_equal(step["cells"], source["mesh/topology"])
            fields = step["fields"]
            np.testing.assert_array_equal(np.ravel(fields["theta"]), source["theta"][k])
            np.testing.assert_array_equal(np.ravel(fields["rho_kappa"]), source["rho/kappa"][k])
            np.testing.assert_array_equal(fields["velocity"], padded(source["velocity"][:]))
