"""What every room stands on: errors, ranks, disk, progress, stopping, memory."""

import sys
from importlib.abc import MetaPathFinder


class _NoNumba(MetaPathFinder):
    """Hides numba from DOLFINx, which would load it for helpers that nobody here calls.

    That takes a third of the time in which all libraries are loaded.  Numba itself stays what it
    is for everybody else, us too.
    """

    ASKING = ("dolfinx.utils", "dolfinx.fem.petsc")
    """Up to 0.9, and since."""

    def find_spec(self, name, path=None, target=None):
        if name != "numba":
            return None
        frame = sys._getframe(1)
        while frame and "importlib" in frame.f_globals.get("__name__", ""):
            frame = frame.f_back
        if frame and frame.f_globals.get("__name__") in self.ASKING:
            raise ModuleNotFoundError("numba, hidden by advdiff", name=name)
        return None


sys.meta_path.insert(0, _NoNumba())
