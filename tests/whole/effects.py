"""Small experiments, one for every choice that decides which keys mean something."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from advdiff.config.types import Table

CSV = "x,y,t,value\n.5,.4,.1,.5\n.25,.6,.1,.2\n.7,.3,.05,.4\n.3,.3,.05,.3\n"
JUMPS = "from,to,time,count\n0,1,.5,3\n1,2,.5,2\n2,0,1,1\n0,2,.7,1\n"
WAVES = "time,node,quantity,value\n.1,2,real,.2\n.2,4,density,.1\n"
RATES = "from,to,rate\n0,1,1\n0,2,1\n1,0,1\n1,2,1\n2,0,1\n2,1,1\n"
GEO = """
DefineConstant[ mesh_size = 0.5 ];
Point(1) = {0, 0, 0, mesh_size}; Point(2) = {1, 0, 0, mesh_size};
Point(3) = {1, 1, 0, mesh_size}; Point(4) = {0, 1, 0, mesh_size};
Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {3, 4}; Line(4) = {4, 1};
Curve Loop(1) = {1, 2, 3, 4}; Plane Surface(1) = {1}; Physical Surface("water") = {1};
Physical Curve("bottom") = {1}; Physical Curve("right") = {2};
Physical Curve("top") = {3}; Physical Curve("left") = {4};
"""
FILES = {"obs.csv": CSV, "jumps.csv": JUMPS, "waves.csv": WAVES, "a.geo": GEO, "rates.csv": RATES}
FILES["dated.csv"] = "well;day;a;b\nA;01/02/2021;1,234;2,5\nB;02/01/2021;2,345;1,5\n"
FILES["wells.csv"] = "sensor,x,y\nA,.5,.4\nB,.25,.6\n"
FILES["wells2.csv"] = "sensor,x,y\nA,.5,.5\nB,.25,.6\n"
FILES |= {"obs2.csv": CSV.replace(".2", ".3"), "jumps2.csv": JUMPS.replace(",3", ",4")}
FILES |= {"waves2.csv": WAVES.replace(".2", ".3"), "rates2.csv": RATES.replace("0,1,1", "0,1,2")}
FILES |= {"b.geo": GEO.replace("{1, 0", "{1.5, 0"), "near.csv": CSV.replace(".25", "-.05")}
"""What the experiments read."""


def write_grid(path: Path, more: float = 0.0) -> None:
    """Two fields (t, z, y, x) with units and a value that is missing."""
    sizes = {"t": 2, "z": 2, "y": 4, "x": 5}
    with h5py.File(path, "w") as file:
        for name, size in sizes.items():
            file[name] = np.linspace(-1.0, 2.0, size) if name in "xy" else np.arange(2.0)
            file[name].make_scale(name)
            if name in "xy":
                file[name].attrs["units"] = "m"
        for name, factor in (("c", 1.0), ("d", 2.0)):
            values = 1.0 + more + np.arange(80.0).reshape(*sizes.values())
            values[:, :, 2, 3] = np.nan
            file[name] = factor * values
            file[name].attrs["units"] = "kg m-3"
            for axis, dimension in enumerate(sizes):
                file[name].dims[axis].attach_scale(file[dimension])


class Base(NamedTuple):
    """An experiment, and the tables whose keys are changed in it, one after the other."""

    data: dict
    tables: tuple[str, ...]


FLOW = {"stream": "x*x*y*(1-x)*(1-y)"}
SMALL = {
    "domain": {"cells": [4, 4]},
    "physics": {"diffusivity": 0.1, "velocity": FLOW, "initial": "x*x"},
    "time": {"final": 0.1, "outputs": 2},
    "discretization": {"mesh_error": False},
}
SOLVE = {"task": "solve"} | SMALL
ALONG = {"velocity": {"stream": "x*y*(1-x)*(1-y)"}}
ALONG_BOTH = {"directions": {"a": ALONG, "b": {"diffusivity": "1 + x"}}}
RHO = {"task": "sensitivity", "sensitivity": ALONG_BOTH} | SMALL
DATA = {"observations": {"file": "obs.csv", "std": 0.1}, "optimizer": {"max_iterations": 4}}
INVERT = {"task": "invert"} | SMALL | DATA
SAMPLE = (
    {"task": "sample", "sampler": {"draws": 4, "warmup": 2, "chains": 2, "steps": 2}} | SMALL | DATA
)
SAMPLE.pop("optimizer")
SINE = {"unknowns": {"velocity": {"modes": [2, 2]}}}
TORUS = {"domain": {"cells": [4, 4], "periodic": ["x", "y"]}}
TORUS["physics"] = SMALL["physics"] | {"initial": "sin(2*pi*x)", "velocity": ["0.3", "0.1"]}
REDUCED = INVERT | SINE | {"reduced": {"dimension": 12, "snapshots": 4, "corrections": 6}}
REDUCED |= {"optimizer": {"max_iterations": 4, "distance_tolerance": 1e-4}}
CHAINS = {"draws": 4, "warmup": 2, "chains": 2}
RATE = {
    "task": "sample",
    "model": {"kind": "rate-matrix", "states": 3},
    "observations": {"file": "jumps.csv"},
    "truth": {"file": "rates.csv"},
}
QUANTUM = {
    "task": "sample",
    "model": {
        "kind": "quantum",
        "nodes": 8,
        "modes": 3,
        "packet": {"centre": 0.5, "width": 0.1},
    },
    "observations": {"file": "waves.csv", "std": 0.1},
    "sampler": CHAINS,
}


GRID = {"file": "grid.h5", "name": "c", "time": 0, "level": 0, "land": 0.0}
CHANNEL = {
    "diffusivity": 0.1,
    "velocity": {"vorticity": "1 + x", "walls": {"bottom": 0.0, "top": 0.0}},
    "inflow": {"left": 1.0, "right": 0.0},
}
KRYLOV = {"dimension": 4, "tolerance": 1e-10}


def _velocity(**table) -> dict:
    return INVERT | {"unknowns": {"velocity": table}}


OF_KERNELS = tuple(
    f"sampler.{name}"
    for name in ("steps", "max_depth", "step_size", "warmup", "metric", "metric_rank", "gradient")
)
OF_INVERSIONS = tuple(
    f"reduced.{name}"
    for name in ("radius", "corrections", "box", "residuals", "sketch", "compare", "model", "seed")
)
BASES: dict[str, Base] = {
    "solve": Base(SOLVE, ("domain", "discretization", "physics", "time", "output")),
    "plain": Base(SOLVE | {"physics": {"diffusivity": 0.1, "initial": "sin(2*pi*x)"}}, ("domain",)),
    "grid": Base(SOLVE | {"physics": SMALL["physics"] | {"initial": GRID}}, ("physics.initial",)),
    "gmsh": Base(SOLVE | {"domain": {"shape": "gmsh", "file": "a.geo"}}, ("domain",)),
    "cip": Base(
        SOLVE | {"discretization": {"method": "cip", "mesh_error": False}}, ("discretization",)
    ),
    "walls": Base(SOLVE | {"physics": CHANNEL}, ("physics.velocity",)),
    "robin": Base(
        SOLVE | {"physics": SMALL["physics"] | {"robin": {"left": {"coefficient": 1.0}}}},
        ("physics.robin",),
    ),
    **{
        f"solver {method}": Base(SOLVE | {"solver": {"method": method} | more}, ("solver",))
        for method, more in {
            **{name: {} for name in ("auto", "faber", "shift-invert")},
            **dict.fromkeys(("krylov", "expokit"), KRYLOV),
        }.items()
    },
    **{
        f"sensitivity {method}": Base(
            RHO | {"sensitivity": ALONG_BOTH | {"method": method}} | more, ("sensitivity", "solver")
        )
        for method, more in {
            **{name: {} for name in ("recurrence", "first-order")},
            **{name: {"solver": KRYLOV} for name in ("quadrature", "augmented")},
        }.items()
    },
    "number": Base(
        INVERT | {"unknowns": {"diffusivity": True}},
        ("observations", "unknowns", "prior.diffusivity", "optimizer", "truth", "petsc"),
    ),
    "written": Base(
        INVERT
        | {"unknowns": {"diffusivity": True}, "time": SMALL["time"] | {"unit": "a"}}
        | {
            "observations": {
                "file": "dated.csv",
                "std": 1e3,
                "decimal": ".",
                "origin": "2021-01-01",
                "time_format": "%d/%m/%Y",
                "columns": {"t": "day", "value": "a"},
                "sensors": "wells.csv",
            }
        },
        (
            *(f"observations.{k}" for k in ("decimal", "origin", "time_format", "columns")),
            *("observations.sensors", "time.unit"),
        ),
    ),
    "outside": Base(
        INVERT
        | {"unknowns": {"diffusivity": True}, "observations": {"file": "near.csv", "std": 0.1}},
        ("observations.snap_distance",),
    ),
    "sine": Base(INVERT | SINE, ("unknowns.velocity", "prior.velocity", "truth")),
    "fourier": Base(
        _velocity(family="fourier", largest=2.0) | TORUS, ("unknowns.velocity", "prior.velocity")
    ),
    **{
        f"noise {noise['kind']}": Base(
            INVERT
            | {"unknowns": {"diffusivity": True}}
            | {"observations": INVERT["observations"] | {"noise": noise}},
            ("observations.noise",),
        )
        for noise in (
            {"kind": "unknown"},
            {"kind": "student", "nu": 3.0},
            {"kind": "relative", "relative": 0.1},
        )
    },
    "uniform": Base(
        _velocity(family="uniform")
        | {"prior": {"velocity": {"mean": [0.0, 0.1], "std": [1.0, 2.0]}}},
        ("unknowns.velocity", "prior.velocity"),
    ),
    "basis": Base(
        _velocity(family="basis", fields=[{"stream": "x*y*(1-x)*(1-y)", "mean": 0.1}]),
        ("unknowns.velocity", "prior.velocity"),
    ),
    "stream": Base(_velocity(family="stream"), ("unknowns.velocity", "prior.velocity")),
    "nodal": Base(
        _velocity(family="nodal"), ("domain.open", "unknowns.velocity", "prior.velocity")
    ),
    "field": Base(INVERT | {"unknowns": {"diffusivity": "field"}}, ("prior.diffusivity",)),
    "initial": Base(INVERT | {"unknowns": {"initial": True}}, ("prior.initial", "truth")),
    "laplace": Base(
        INVERT
        | {"unknowns": {"diffusivity": "field"}}
        | {"laplace": {"probes": 4, "most": 1, "threshold": 1e-9}},
        ("laplace",),
    ),
    "laplace of modes": Base(INVERT | SINE | {"laplace": {"probes": 4}}, ("laplace.samples",)),
    "reduced": Base(REDUCED, ("reduced", "optimizer")),
    "greedy": Base(
        REDUCED
        | {
            "reduced": REDUCED["reduced"]
            | {"box": 1.0, "bound": 1e-3}
            | {"candidates": 6, "batch": 1, "rounds": 1}
        },
        ("reduced.candidates", "reduced.batch", "reduced.rounds", "reduced.bound", "reduced.seed"),
    ),
    "chains": Base(
        SAMPLE | SINE, ("sampler.fields", "sampler.start", "sampler.metric", "sampler.gradient")
    ),
    "cheap chains": Base(
        SAMPLE
        | SINE
        | {"sampler": CHAINS | {"gradient": "reduced"}}
        | {"reduced": {"dimension": 12, "snapshots": 4}},
        ("reduced.method", *OF_INVERSIONS),
    ),
    **{
        f"kernel {kernel}": Base(RATE | {"sampler": CHAINS | {"kernel": kernel}}, OF_KERNELS)
        for kernel in ("pcn", "mala", "nuts", "random-walk")
    },
    "kernel hmc": Base(RATE | {"sampler": CHAINS}, ("sampler",)),
    "metric": Base(
        RATE | {"sampler": CHAINS | {"metric": "laplace"}}, ("sampler.metric_rank", "sampler.steps")
    ),
    "rates": Base(RATE | {"sampler": CHAINS}, ("model", "observations", "prior", "truth")),
    "quantum": Base(QUANTUM, ("model", "observations", "prior")),
    "coarse": Base(
        QUANTUM
        | {"model": QUANTUM["model"] | {"coarse": 4}}
        | {"sampler": CHAINS | {"kernel": "delayed-acceptance"}},
        ("model", *OF_KERNELS),
    ),
    "surrogate-error": Base(
        {
            "task": "surrogate-error",
            "matexp": {"dimensions": [3], "replicates": 2, "times": [0.1], "laws": ["exponential"]},
        },
        ("matexp",),
    ),
    "random-rates": Base(
        {"task": "random-rates", "matexp": {"dimensions": [3], "replicates": 2}}, ("matexp",)
    ),
}
"""Name → experiment."""


def at(data: dict, key: str):
    """What stands at a dotted key; None where nothing does."""
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def put(data: dict, key: str, value) -> dict:
    """A copy with another value at a dotted key."""
    name, _, rest = key.partition(".")
    return data | {name: put(data.get(name) or {}, rest, value) if rest else value}


def fields(kind: type[Table]):
    """The keys of a table that a file may have, with their fields."""
    return [(name, field) for name, field in kind.model_fields.items() if not field.exclude]
