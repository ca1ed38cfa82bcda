"""Sensitivities and inversion for advection-diffusion on FEniCSx, PETSc and SLEPc."""

__version__ = "0.1.0"


def __getattr__(name: str):
    """``advdiff.load`` and ``advdiff.Problem``, imported when asked for: matexp needs neither."""
    if name in ("load", "Problem"):
        from advdiff import problem

        return getattr(problem, name)
    raise AttributeError(f"module 'advdiff' has no attribute '{name}'")
