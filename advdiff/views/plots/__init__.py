"""Pictures of a result file: every one that its content allows, as PNG.

``draw`` decides which; ``pictures`` composes those of fields from ``panels`` (charts) and
``shapes`` (fields in one, two or three dimensions), ``surrogates`` and ``studies`` make those of
surrogates of ρ and of ``matexp``, ``chains`` those of Markov chains, ``laplace`` those of
posteriors by Laplace's approximation, ``reduced`` those of inversions by reduced models;
``canvas`` holds what they share: sizes, colours, saving.
All of it reads the HDF5 file alone, and uses matplotlib's objects without pyplot's global state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import h5py
from matplotlib.figure import Figure

from advdiff.core.errors import InputError
from advdiff.files.finished import open_result, reading
from advdiff.views.plots import canvas, chains, laplace, pictures, reduced, studies, surrogates
from advdiff.views.quantities import quantities

Picture: TypeAlias = Callable[[], Figure]


def draw(result: Path, output: Path | None = None) -> list[Path]:
    """Draw a result file's pictures (one rank) and return their names.

    Args:
        result: a finished result file.
        output: the folder for the pictures, made where there is none; by default
            ``<name of the result>_pictures`` beside the result.

    Raises:
        InputError: if it is not a finished result file, or the folder cannot be written to.
    """
    folder = result.with_name(f"{result.stem}_pictures") if output is None else output
    paths = []
    with open_result(result) as file, canvas.style():
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with reading(result):
            found = contents(file)
        for name, picture in found.items():
            with reading(result):
                figure = picture()
            with _writing(folder):
                paths.append(canvas.save(figure, folder / f"{canvas.file_name(name)}.png"))
    return paths


class Drawn(NamedTuple):
    """A picture as PNG, what it shows in a sentence, its pixels."""

    name: str
    caption: str
    png: bytes
    width: int
    height: int


def drawn(file: h5py.File) -> Iterator[Drawn]:
    """Every picture of an open result (one rank)."""
    for name, picture in contents(file).items():
        about = getattr(picture, "func", picture).__doc__ or ""
        sentence = " ".join(about.split("\n\n")[0].split()).replace("``", "")
        with canvas.style():
            png, (width, height) = canvas.png(picture())
        yield Drawn(name, f"{name.replace('_', ' ')}: {sentence}", png, width, height)


@contextmanager
def _writing(folder: Path):
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"--output: cannot write pictures to {folder} ({reason}); give another folder"
        ) from None


def contents(file: h5py.File) -> dict[str, Picture]:
    """The pictures that a result allows, by name."""
    found: dict[str, Picture] = {}
    if "error/spectral" in file:
        for kind in studies.LIMITS:
            found[f"{kind}_errors"] = partial(studies.surrogate_errors, file, kind)
        found["errors_against_d"] = partial(studies.errors_against_d, file)
    if "rates" in file:
        found["random_rates"] = partial(studies.random_rates, file)
    found |= chains.contents(file)
    if "reduced/state_error" in file:
        found["reduced"] = partial(reduced.corrections, file)
    source = pictures.Source(file)
    if "estimate" in file and "observations" in file and "history" in file:
        found["overview"] = partial(pictures.overview, source)
    if "theta" in file:
        found["tracer"] = partial(pictures.tracer, source)
    for name in file.get("rho", {}):
        found[f"rho_{name}"] = partial(pictures.rho, source, name)
    for name, group in file.get("surrogate", {}).items():
        if "exact" in group:
            found[f"surrogate_{name}"] = partial(surrogates.surrogate, source, name)
    if "velocity" in file:
        found["velocity"] = partial(pictures.velocity, source)
    for quantity in quantities(file):
        if pictures.shows_recovery(file, quantity):
            found.setdefault(quantity.key, partial(pictures.recovery, source, quantity.key))
    if "observations" in file:
        found["data"] = partial(pictures.data, source)
    found |= laplace.contents(source)
    if "history" in file:
        found["history"] = partial(pictures.history, source)
    return found
