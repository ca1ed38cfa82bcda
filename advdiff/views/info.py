"""What is in a result file, in a few lines."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from advdiff.files import concerns
from advdiff.files.finished import open_result, reading
from advdiff.views.quantities import quantities

SOLVER = (
    *("method", "reason", "tolerance", "products", "solves", "actions", "quadrature_nodes"),
    *("bound", "error_bound", "error_estimate", "mesh_error_of_theta", "evaluations"),
)
"""What of the solver's report is worth a line."""


def lines(path: Path) -> list[str]:
    """The summary of a result file, line by line.

    Raises:
        InputError: if it is not a finished result file.
    """
    with open_result(path) as file, reading(path):
        title = (
            f"{path}: {file.attrs['task']}, advdiff {file.attrs['advdiff_version']}, "
            f"{file.attrs['created_at']}, {file.attrs['ranks']} rank(s)"
        )
        if "law" in file:
            found = _study(file)
        elif "samplers" in file or "posterior" in file:
            found = _chains(file)
        else:
            found = _flow(file)
        return [title, *found, *(concern.line for concern in concerns.read(file))]


def _chains(file: h5py.File) -> list[str]:
    from advdiff.views import chains

    return chains.compared(file) if "samplers" in file else chains.lines(file)


def _flow(file: h5py.File) -> list[str]:
    found = [
        f"mesh        {_mesh(file['mesh'])}",
        f"time        {len(file['time'])} outputs up to {file['time'][-1]:g}",
    ]
    theta = file["theta"]
    found.append(f"theta       {theta[-1].min():.4g} … {theta[-1].max():.4g} at the end")
    for name in file.get("rho", {}):
        rho = file[f"rho/{name}"]
        found.append(
            f"rho         {name}: {rho[-1].min():.4g} … {rho[-1].max():.4g} at the end, "
            f"error estimate {rho.attrs['error_estimate']:.1e}"
        )
    if "estimate" in file:
        found += _estimate(file)
    solver = file["solver"].attrs
    shown = [f"{k.replace('_', ' ')} {_short(solver[k])}" for k in SOLVER if k in solver]
    found.append("solver      " + ", ".join(shown))
    if "seconds_forward" in solver:
        stages = ("assembly", "forward", "adjoint", "optimiser")
        split = [f"{stage} {solver[f'seconds_{stage}']:.1f} s" for stage in stages]
        found.append("time        " + ", ".join(split))
    return found


def _mesh(mesh: h5py.Group) -> str:
    points, cells, cell = len(mesh["geometry"]), len(mesh["topology"]), mesh.attrs["cell"]
    if "points_per_cell" not in mesh.attrs:
        return f"{points} vertices, {cells} {cell} cells"
    each = int(mesh.attrs["points_per_cell"])
    return f"{points // each} {cell} cells, sampled at {each} points each"


def _study(file: h5py.File) -> list[str]:
    laws, sizes = list(file["law"].asstr()), file["d"][:]
    found = [f"laws        {', '.join(laws)}", f"d           {', '.join(map(str, sizes))}"]
    if "error" in file:
        times, methods = file["time"][:], list(file["method"].asstr())
        found.append(f"time        {len(times)} times, {times[0]:g} … {times[-1]:g}")
        relative = file["error/spectral"][0] / file["exact/spectral"][0][:, :, None]
        at = int(abs(times - 1.0).argmin())
        for k, method in enumerate(methods):
            shown = [_short(float(np.nanmedian(relative[i, :, k, at]))) for i in range(len(sizes))]
            found.append(
                f"{method:13s} relative error {', '.join(shown)} at t = {times[at]:g}, {laws[0]}"
            )
    else:
        for name in ("modulus_min", "modulus_max", "sigma_min", "correction"):
            rates = file[f"rates/{name}"]
            shown = [_short(float(v)) for v in np.nanmedian(rates[0], axis=-1)]
            found.append(f"{name:13s}{', '.join(shown)}, {laws[0]}")
    return found


def _estimate(file: h5py.File) -> list[str]:
    estimate, observations = file["estimate"], file["observations"]
    residual = (observations["predicted"][:] - observations["values"][:]) / observations["std"][:]
    found = [
        f"readings    {len(residual)} from {len(observations['points'])} sensors; residual "
        f"{(residual**2).mean() ** 0.5:.3f} standard deviations",
        f"optimiser   {estimate.attrs['message']}",
    ]
    if "misfit_error_estimate" in estimate.attrs:
        found.append(
            f"misfit      {estimate.attrs['misfit']:.6g}, its numerical error "
            f"{estimate.attrs['misfit_error_estimate']:.1e}"
        )
    if "chi_squared" in estimate.attrs:
        least, most = (estimate.attrs[f"degrees_of_freedom_{end}"] for end in ("least", "most"))
        found.append(
            f"residual    χ² {estimate.attrs['chi_squared']:.4g} of {least} … {most} degrees of "
            f"freedom; worst: row {estimate.attrs['worst_reading_row']}, "
            f"{estimate.attrs['worst_residual']:.3g} standard deviations"
        )
    if "mesh_error_of_readings" in estimate.attrs:
        found.append(
            "mesh error  cells twice as large change the readings by "
            f"{estimate.attrs['mesh_error_of_readings']:.2g} standard deviations"
        )
    if "laplace" in file:
        values = file["laplace"].attrs
        count = len(file["laplace/eigenvalues"]) if "laplace/eigenvalues" in file else 0
        found.append(
            f"laplace     {count} directions seen by the data, log evidence "
            f"{values['log_evidence']:.6g}"
        )
    for name in (quantity.key for quantity in quantities(file)):
        key = f"{name}_relative_error"
        if key in estimate.attrs:
            found.append(f"error       {name} {100 * estimate.attrs[key]:.2f} %")
            first = estimate.attrs.get(f"{name}_first_guess_error")
            if first is not None:
                found[-1] += f" (first guess {100 * first:.2f} %)"
    return found


def _short(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
