"""Finished result files, opened to be read."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from advdiff.core.errors import InputError
from advdiff.core.version import __version__
from advdiff.files import hdf5
from advdiff.files.result import FORMAT

FIELDS = ("mesh/geometry", "mesh/topology", "time", "theta", "solver")


REQUIRED = {
    "surrogate-error": ("law", "d", "method", "time", "error", "exact", "certificate"),
    "random-rates": ("law", "d", "replicate", "rates"),
    "compare-samplers": ("d", "sampler", "regime", "samplers"),
    "sample": ("chain", "draw", "posterior", "sample_stats"),
}
"""Task → what its result must hold; ``FIELDS`` for all others."""


UNEXPECTED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a result raises where it holds something else than was written."""


def open_result(path: Path) -> h5py.File:
    """Open a finished result file for reading (each rank by itself).

    Raises:
        InputError: if it is missing, truncated, not one of ours or not complete.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; give a file written by 'advdiff run'")
    if path.suffix == ".toml":
        raise InputError(f"{path}: an experiment file; give its result, a file ending in .h5")
    try:
        file = hdf5.read(path)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not readable HDF5 ({reason}); run the experiment again"
        ) from None
    try:
        with reading(path):
            _require_finished(file, path)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def reading(path: Path):
    """Let whatever stumbles over a damaged or foreign result be an :class:`InputError` (local)."""
    try:
        yield
    except InputError:
        raise
    except UNEXPECTED as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise InputError(
            f"{path}: not as advdiff writes it ({reason}); run the experiment again"
        ) from error


def _require_finished(file: h5py.File, path: Path) -> None:
    if "advdiff_version" not in file.attrs:
        raise InputError(f"{path}: not written by advdiff; give a file written by 'advdiff run'")
    found = file.attrs.get("format_version", file.attrs.get("format", 0))
    if not isinstance(found, int | np.integer) or not 0 < found <= FORMAT:
        wrote, newer = file.attrs["advdiff_version"], f"upgrade advdiff {__version__}"
        raise InputError(
            f"{path}: format version {found} of advdiff {wrote}, this one reads 1 to {FORMAT}; "
            f"{newer if found else 'run the experiment again'}"
        )
    required = REQUIRED.get(file.attrs.get("task"), FIELDS)
    missing = [name for name in required if name not in file]
    if not file.attrs.get("complete", False) or missing:
        lacks = f", it has no {missing[0]}" if missing else ""
        raise InputError(f"{path}: not complete{lacks}; run the experiment again")
