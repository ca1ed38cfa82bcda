"""What every room stands on: errors, ranks, disk, progress, stopping, memory.

Also how DOLFINx is loaded: it has helpers for others' compiled code which nobody here calls, and
which would load numba and a parser of C, two fifths of the time of all libraries.
"""

import sys
from importlib.machinery import PathFinder


class _Quick:
    """Puts these helpers off: a module of them is loaded when it is looked into (DOLFINx 0.9), and
    numba is hidden from modules that have them beside others (since 0.10).
    """

    APART, WITHIN = "dolfinx.utils", ("dolfinx.fem.petsc", "ffcx.codegeneration.utils")

    def find_spec(self, name, path=None, target=None):
        if name == self.APART:
            found = PathFinder.find_spec(name, path, target)
            if found is not None:
                from importlib.util import LazyLoader

                found.loader = LazyLoader(found.loader)
            return found
        if name == "numba":
            frame = sys._getframe(1)
            while frame and "importlib" in frame.f_globals.get("__name__", ""):
                frame = frame.f_back
            if frame and frame.f_globals.get("__name__") in self.WITHIN:
                raise ModuleNotFoundError("numba, hidden by advdiff", name=name)
        return None


sys.meta_path.insert(0, _Quick())
