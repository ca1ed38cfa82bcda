"""Results in the tools that people have: xarray, pandas, ArviZ, VTK.  One short function each.

    scripts/run python experiments/postprocessing.py experiments/velocity_inversion.h5

runs those that the file allows.  ParaView itself opens the ``.vtkhdf`` beside a result: File >
Open, then colour by ``theta``, or by ``laplace_speed_std``, and play.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr


def tracer_at(result: Path, point) -> xr.DataArray:
    """θ over time at the vertex nearest to a point: a series with its time coordinate."""
    with (
        xr.open_dataset(result, engine="h5netcdf") as data,
        xr.open_dataset(result, engine="h5netcdf", group="mesh") as mesh,
    ):
        distance = ((mesh.geometry - np.asarray(point)) ** 2).sum("dim")
        return data.theta.isel(vertex=int(distance.argmin("vertex"))).load()


def estimate_error(result: Path) -> xr.DataArray:
    """|estimated − true velocity| at every vertex, where the truth is known."""
    with xr.open_datatree(result, engine="h5netcdf") as tree:
        difference = tree["estimate"].velocity - tree["truth"].velocity
        return np.sqrt((difference**2).sum("dim")).load()


def history(result: Path) -> pd.DataFrame:
    """What the optimiser did, one row an iteration: objective, misfit, gradient_norm, …"""
    with xr.open_dataset(result, engine="h5netcdf", group="history") as data:
        return data.to_dataframe()


def warnings(result: Path) -> pd.DataFrame:
    """What the run had to warn of: key, message and number."""
    with xr.open_dataset(result, engine="h5netcdf", group="warnings") as data:
        table = data.to_dataframe()
    text = table.select_dtypes(object).columns
    table[text] = table[text].map(lambda v: v.decode() if isinstance(v, bytes) else v)
    return table


def posterior(result: Path) -> xr.DataTree:
    """The draws as ArviZ takes them: posterior, sample_stats, observed_data, constant_data."""
    groups = ("posterior", "sample_stats", "observed_data", "constant_data")
    with xr.open_datatree(result, engine="h5netcdf") as tree:
        return xr.DataTree.from_dict({name: tree[name].to_dataset().load() for name in groups})


def posterior_summary(result: Path) -> pd.DataFrame:
    """Mean, standard deviation, effective draws and R̂ of every parameter, by ArviZ."""
    import arviz as az

    return az.summary(posterior(result), round_to="none")


def vtk_fields(result: Path, step: int = -1) -> dict[str, np.ndarray]:
    """Every field at an output time as ParaView sees it, by VTK's own reader."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(result.with_suffix(".vtkhdf")))
    reader.UpdateInformation()
    times = reader.GetOutputInformation(0).Get(vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS())
    reader.UpdateTimeStep(times[step])
    data = reader.GetOutputDataObject(0).GetPointData()
    arrays = [data.GetArray(k) for k in range(data.GetNumberOfArrays())]
    return {array.GetName(): vtk_to_numpy(array) for array in arrays}


def main(result: Path) -> None:
    """Print what each function finds in a result, as far as it has it."""
    with xr.open_datatree(result, engine="h5netcdf") as tree:
        groups, has_field = set(tree.groups), "theta" in tree
        middle = tree["mesh"].geometry.mean("vertex").values if has_field else None
    if has_field:
        print(tracer_at(result, middle))
    if {"/estimate", "/truth"} <= groups:
        print(f"largest error of the velocity {float(estimate_error(result).max()):.3g}")
    if "/history" in groups:
        print(history(result)[["objective", "misfit", "gradient_norm"]].tail().to_string())
    if "/posterior" in groups:
        print(posterior_summary(result).to_string())
    print(warnings(result).to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
