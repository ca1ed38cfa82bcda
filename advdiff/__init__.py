"""Sensitivities and inversion for advection-diffusion on FEniCSx, PETSc and SLEPc."""

from advdiff.core import compat
from advdiff.core.version import __version__ as __version__

compat.keep_order()


def __getattr__(name: str):
    """``advdiff.load`` and ``advdiff.Problem``, imported when asked for: matexp needs neither."""
    if name in ("load", "Problem"):
        from advdiff.problem import problem

        return getattr(problem, name)
    raise AttributeError(f"module 'advdiff' has no attribute '{name}'")
