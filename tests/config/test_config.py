"""The experiment file: defaults, overrides, paths, and that what is written can be read again."""

from pathlib import Path

import pytest

from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from advdiff.config.tables import experiment as schema
from advdiff.config.types import Formula, StreamVelocity, Table, VorticityVelocity, walk

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
TEXT = """
task = "solve"
[domain]
cells = [4, 8]
[physics]
diffusivity = 1
[time]
final = 2
"""


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "case.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_defaults(experiment):
    table = load_experiment(experiment)
    assert table.domain.corners == ([0.0, 0.0], [1.0, 1.0])
    assert table.discretization.degree == 1
    assert isinstance(table.physics.diffusivity, float)  # an integer is a number
    assert (table.physics.velocity, table.physics.source, table.physics.initial) == (None, None, 0)
    assert table.time.times == pytest.approx([0.2 * (k + 1) for k in range(10)])
    assert (table.solver.method, table.solver.tolerance) == ("auto", 1e-8)
    assert table.text == TEXT


def test_paths_are_relative_to_the_file(experiment):
    table = load_experiment(experiment)
    assert table.output_path == experiment.with_suffix(".h5").resolve()
    assert table.resolve("../a.csv") == (experiment.parent.parent / "a.csv").resolve()
    table = load_experiment(experiment, ("output.file=sub/out.h5",))
    assert table.output_path == (experiment.parent / "sub/out.h5").resolve()


@pytest.mark.parametrize(
    ("setting", "read", "value"),
    [
        ("time.final=3", lambda e: e.time.final, 3.0),
        ("domain.cells=[2, 3]", lambda e: e.domain.cells, [2, 3]),
        ("solver.method=expokit", lambda e: e.solver.method, "expokit"),
        ('physics.initial="x*y"', lambda e: e.physics.initial, "x*y"),
        ("physics.initial=x*y", lambda e: e.physics.initial, "x*y"),
        ("truth.diffusivity=2.5", lambda e: e.truth.diffusivity, 2.5),
        ("petsc.tao_monitor=true", lambda e: e.petsc, {"tao_monitor": True}),
    ],
)
def test_overrides(experiment, setting, read, value):
    assert read(load_experiment(experiment)) != value
    assert read(load_experiment(experiment, (setting,))) == value


def test_the_last_override_counts(experiment):
    assert load_experiment(experiment, ("time.final=3", "time.final=4")).time.final == 4.0


@pytest.mark.parametrize(
    ("velocity", "kind"),
    [
        (["y", 0], list),
        ({"stream": "x*y"}, StreamVelocity),
        ({"walls": {"left": 0, "right": "free"}}, VorticityVelocity),
        ({"vorticity": 1.0, "walls": {"left": 0.5}}, VorticityVelocity),
    ],
)
def test_kinds_of_velocity(velocity, kind):
    data = {
        "task": "solve",
        "domain": {"cells": [4, 4]},
        "physics": {"diffusivity": 1.0, "velocity": velocity},
        "time": {"final": 1.0},
    }
    assert isinstance(parse(data).physics.velocity, kind)


def test_explicit_output_times(experiment):
    assert load_experiment(experiment, ("time.outputs=[0.5, 2]",)).time.times == [0.5, 2.0]
    assert load_experiment(experiment, ("time.outputs=4",)).time.times == [0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.name)
def test_experiments_of_the_repository(path):
    table = load_experiment(path)
    again = parse(table.model_dump(exclude_none=True), table.path, table.text)
    assert again == table
    assert again.output_path == path.with_suffix(".h5").resolve()


def test_walk_finds_every_formula(experiment):
    table = load_experiment(
        experiment,
        ('physics.velocity=["y", "-x"]', "physics.dirichlet.left=sin(y)", "truth.initial=x"),
    )
    found = {key: str(value) for key, value in walk(table) if isinstance(value, Formula)}
    assert found == {
        "physics.velocity[0]": "y",
        "physics.velocity[1]": "-x",
        "physics.dirichlet.left": "sin(y)",
        "truth.initial": "x",
    }


def test_tables_are_frozen(experiment):
    table = load_experiment(experiment)
    with pytest.raises(ValueError, match="frozen"):
        table.time.final = 3.0
    assert isinstance(table, schema.Experiment)


def tables(of=Table):
    return [kind for known in of.__subclasses__() for kind in (known, *tables(known))]


def test_tables_that_are_absent_are_what_an_empty_one_is():
    """They are made without validation, so that none is built before it is used."""
    found = [
        (kind, name, field.default)
        for kind in tables()
        for name, field in kind.model_fields.items()
        if isinstance(field.default, Table)
    ]
    assert len(found) > 10
    for kind, name, default in found:
        assert default == type(default)(), f"{kind.__name__}.{name}"
