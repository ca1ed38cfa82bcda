"""What a result file says of the quantities in it: their names, titles, magnitudes.

The classes of :mod:`advdiff.problem.unknowns` write ``/quantities``; files of before it held three.
"""

from __future__ import annotations

from typing import NamedTuple

import h5py


class Quantity(NamedTuple):
    """One of them.

    ``key``: of its arrays; ``title``: in words; ``magnitude``: name of a vector's length, whose
    arrays are scalars, empty for a scalar.
    """

    key: str
    title: str
    magnitude: str = ""

    @property
    def shown(self) -> str:
        """The scalar to show."""
        return self.magnitude or self.key


OLD = (
    Quantity("velocity", "velocity", "speed"),
    Quantity("diffusivity", "diffusivity"),
    Quantity("initial", "initial tracer"),
)


def quantities(file: h5py.File) -> list[Quantity]:
    """Those of a result file, in their order."""
    if "quantities" not in file:
        return list(OLD)
    attributes = {key: group.attrs for key, group in file["quantities"].items()}
    keys = sorted(attributes, key=lambda key: int(attributes[key]["place"]))
    return [Quantity(k, attributes[k]["title"], attributes[k]["magnitude"]) for k in keys]
