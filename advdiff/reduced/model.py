"""The reduced model m ↦ predicted readings: dense, small, and without PETSc.

A state of the reduced model is x = (c, 1) with θ ≈ Vc: the load stands in the last column of the
generator Q = [[V*AV, V*M⁻¹F], [0, 0]], values prescribed at the boundary in the last column of the
sensor matrix, so that neither is a case of its own below.  (Without loads there is no last entry.)

All times come from one exponential X = e^{hQ} for every distinct step h between them, x_k = X
x_{k−1}.  The adjoint marches backwards, λ_{k−1} = Xᵀλ_k + …, and the sum B = Σ λ_k x_{k−1}ᵀ meets
one adjoint derivative of the exponential (``exponential``, which shares what it can with the
exponential itself): O(r³ + K r²) for equidistant times, whatever the number of parameters, which
cost r² each (one product with the stack of the A_j).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from advdiff.core.version import __version__
from advdiff.files import hdf5
from advdiff.files.concerns import Concern
from advdiff.matexp.balance import expm
from advdiff.matexp.operands import EPS
from advdiff.matexp.rounding import SAFETY
from advdiff.reduced.affine import Affine
from advdiff.reduced.bound import ResidualBound, rounding
from advdiff.reduced.linearisation import ReducedLinearisation
from advdiff.reduced.spectral import SpectralLinearisation, eigenbasis
from advdiff.reduced.system import SAME_STEP, System

CONDITION = 1e4
"""Of an eigenbasis that "auto" takes: a bound, which is well above the condition number itself."""
FEW = 4
"""Distinct steps up to which their exponentials are cheaper than one eigendecomposition."""


@dataclass
class ReducedModel(System):
    """Readings of the tracer from a reduced basis; pure numpy, no communication.

    Attributes:
        evaluations: how often it was linearised.

    Units are those of the full model: yours.  A parameter vector of another shape is a ValueError.

    x' = -mx from 1, read at the times 1 and 2: e^{-m} and e^{-2m}, with the slopes -e^{-m} and
    -2e^{-2m}:

    >>> family = Affine(np.zeros(1), exponential=np.array([False]), diffuses=np.array([False]))
    >>> model = ReducedModel(
    ...     family, np.array([[0.0], [-1.0]]), start=np.array([1.0]), sensors=np.array([[1.0]]),
    ...     times=np.array([1.0, 2.0]), sensor=np.array([0, 0]), time=np.array([0, 1]),
    ... )
    >>> at = model.linearise(np.array([0.5]))
    >>> at.predicted.round(6), at.push(np.array([1.0])).round(6)
    (array([0.606531, 0.367879]), array([-0.606531, -0.735759]))
    >>> at.pull(np.array([1.0, 1.0])).round(6)
    array([-1.34229])
    """

    def __post_init__(self):
        self.evaluations = 0

    def observe(self, m: np.ndarray) -> np.ndarray:
        """Predicted readings, shape (reading,)."""
        return self.linearise(m).predicted

    def linearise(self, m: np.ndarray) -> ReducedLinearisation:
        """The model at m, with its derivatives."""
        self.evaluations += 1
        m = np.array(m, dtype=float)
        matrix = self.generator(m)
        many = len(self.steps[0]) > FEW
        if self.method == "spectral" or (self.method == "auto" and many):
            basis = eigenbasis(matrix)
            if self.method == "spectral" or basis.condition <= CONDITION:
                return SpectralLinearisation(self, m, matrix, basis)
        return ReducedLinearisation(self, m, matrix)

    def at(self, m: np.ndarray, times: np.ndarray) -> np.ndarray:
        """x(t) at other times, increasing, shape (time, d)."""
        return self._states(self.generator(m), times)

    def _states(self, matrix: np.ndarray, times: np.ndarray) -> np.ndarray:
        x, states, known = self.start, [], {}
        for step in np.diff(times, prepend=0.0):
            step = next((h for h in known if abs(h - step) <= SAME_STEP * times[-1]), step)
            if step not in known:
                known[step] = expm(step * matrix)
            x = known[step] @ x
            states.append(x)
        return np.array(states)

    def rounding(self, m: np.ndarray) -> float:
        """Estimate of the rounding error of the states, relative to the largest of them.

        Those of the method in use are compared with others, by another exponential, for a Q with
        an ulp more or less in every entry; to `SAFETY` times the difference comes (d + t‖Q‖)ε,
        Q in balanced units.  It contains what an eigenbasis loses by the condition of its vectors.
        """
        at = self.linearise(m)
        times = self.times[self.times > 0.0]
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=at.matrix.shape)
        others = self._states(at.matrix * (1.0 + EPS * signs), times)
        difference = np.linalg.norm(at.states[1:] - others, axis=1)
        error = SAFETY * difference + rounding(at.matrix, times, others)
        largest = np.linalg.norm(at.states, axis=1).max()
        return float(error.max(initial=0.0) / (largest or 1.0))

    def state_bound(self, m: np.ndarray) -> np.ndarray:
        """Bound of ‖θ(t) − Vc(t)‖ in L² at the positive times, shape (time,)."""
        if self.bound is None:
            raise ValueError("this reduced model has no residual matrices, hence no bound")
        distinct, which = self.steps
        return self.bound.evaluate(
            self.affine.values(m),
            self.generator(m),
            self.start,
            distinct[which],
            self.affine.diffusivity(m),
        )

    def reading_bound(self, m: np.ndarray) -> np.ndarray:
        """Bound of |prediction − full prediction|, shape (reading,); 0 at time 0."""
        at_times = np.zeros(len(self.times))
        at_times[self.times > 0.0] = self.state_bound(m)
        return self.bound.sensor_norms[self.sensor] * at_times[self.time]

    # -- on disk --------------------------------------------------------------------------------

    def save(self, target: Path | h5py.Group) -> None:
        """Write everything that the online phase needs (one process)."""
        if not isinstance(target, h5py.Group):
            with h5py.File(target, "w") as file:
                self.save(file)
            return
        for name, values in self.arrays().items():
            target[name] = values
        target.attrs["method"] = self.method
        target.attrs["advdiff_version"] = __version__

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        found = {
            "reference": self.affine.reference,
            "exponential": self.affine.exponential.astype("i1"),
            "diffuses": self.affine.diffuses.astype("i1"),
            **{n: getattr(self, n) for n in ("stack", "start", "sensors", "times")},
            **{n: getattr(self, n) for n in ("sensor", "time")},
        }
        return found if self.bound is None else found | self.bound.arrays()

    @classmethod
    def load(cls, source: Path | h5py.Group) -> ReducedModel:
        """Read what :meth:`save` wrote."""
        if not isinstance(source, h5py.Group):
            with hdf5.read(source) as file:
                return cls.load(file)
        data = {name: source[name][...] for name in source}
        exponential = data["exponential"].astype(bool)
        diffuses = data.get("diffuses", exponential)  # before 0.2 nothing else was exponential
        return cls(
            Affine(data["reference"], exponential, np.asarray(diffuses, dtype=bool)),
            *(data[n] for n in ("stack", "start", "sensors", "times", "sensor", "time")),
            bound=ResidualBound.from_arrays(data) if "residuals" in data else None,
            method=str(source.attrs["method"]),
        )


def of_eigenbasis(condition: float, method: str) -> list[Concern]:
    """Of the condition number of the reduced generator's eigenvectors, and the method asked for."""

    if condition <= CONDITION or method not in ("auto", "spectral"):
        return []
    what = "its gradients lose as many digits" if method == "spectral" else "it was not used"
    return [
        Concern(
            "eigenbasis",
            f"the eigenbasis of the reduced model has a condition number of up to {condition:.0e}: "
            f"{what}; take reduced.method = 'frechet'",
            condition,
        )
    ]
