"""A quantum toy: dx/dt = −iHx with H = −½Δ_h + diag(V) on a line, V unknown.

V is a sum of sines and cosines, so that an independent prior with falling standard deviations is
one of a smooth potential.  Everything happens in the eigenbasis of the real symmetric H: x(t) is
unitary to rounding, derivatives are Daleckiĭ and Kreĭn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc
from scipy.linalg import eigh

from advdiff.inverse.likelihood import Gaussian, Potential
from advdiff.matexp import bilinear_gradient
from advdiff.matexp.spectral import Eigenbasis, divided_difference
from advdiff.models.coefficients import unknowns

QUANTITIES = {"real": 0, "imaginary": 1, "density": 2}


@dataclass(frozen=True)
class Line:
    """[0, length] with so many nodes; ``periodic``, or walls at both ends where x vanishes."""

    nodes: int
    length: float = 1.0
    periodic: bool = True

    @property
    def spacing(self) -> float:
        return self.length / (self.nodes if self.periodic else self.nodes + 1)

    @property
    def points(self) -> np.ndarray:
        """The nodes, shape (node,); with walls, those between them."""
        return self.spacing * (np.arange(self.nodes) + (0 if self.periodic else 1))

    def kinetic(self) -> np.ndarray:
        """−½Δ_h by second differences, shape (node, node)."""
        n = self.nodes
        matrix = np.eye(n) - 0.5 * (np.eye(n, k=1) + np.eye(n, k=-1))
        if self.periodic:
            matrix[0, -1] -= 0.5
            matrix[-1, 0] -= 0.5
        return matrix / self.spacing**2

    def waves(self, modes: int) -> tuple[np.ndarray, np.ndarray]:
        """1, √2 cos, √2 sin, … (walls: 1, √2 cos, …), shape (node, modes), and wave numbers."""
        x, k = self.points / self.length, np.arange(1, modes)
        if self.periodic:
            number, odd = (k + 1) // 2, k % 2 == 1
            phase = 2.0 * np.pi * x[:, None] * number
            rest = np.where(odd, np.cos(phase), np.sin(phase))
        else:
            number, rest = k, np.cos(np.pi * x[:, None] * k)
        basis = np.column_stack([np.ones_like(x), np.sqrt(2.0) * rest])
        return basis, np.concatenate([[0], number])

    def packet(self, centre: float, width: float, momentum: float) -> np.ndarray:
        """A Gaussian wave packet of norm 1 (Σ|x|² = 1), shape (node,), complex."""
        distance = self.points - centre
        if self.periodic:
            distance = (distance + 0.5 * self.length) % self.length - 0.5 * self.length
        packet = np.exp(-0.25 * (distance / width) ** 2 + 1j * momentum * distance)
        return packet / np.linalg.norm(packet)


@dataclass(frozen=True)
class Measurements:
    """What was read of x: at which node, when, and which quantity; shape (reading,) each.

    Attributes:
        times: distinct times, increasing.
        time: index of the time of each reading.
        node: index of its node.
        quantity: value of ``QUANTITIES``.
    """

    times: np.ndarray
    time: np.ndarray
    node: np.ndarray
    quantity: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def collect(cls, time, node, quantity) -> Measurements:
        """From one row a reading."""
        times, index = np.unique(time, return_inverse=True)
        return cls(times, index.ravel(), np.asarray(node, int), np.asarray(quantity, int))

    def of(self, x: np.ndarray) -> np.ndarray:
        """Readings of states (time, node)."""
        at = x[self.time, self.node]
        return np.choose(self.quantity, [at.real, at.imag, np.abs(at) ** 2])

    def push(self, x: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Their derivative along dx."""
        at, along = x[self.time, self.node], dx[self.time, self.node]
        return np.choose(self.quantity, [along.real, along.imag, 2.0 * (at.conj() * along).real])

    def pull(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """c (time, node) with Σ w d(reading) = Re Σ c·dx (no conjugate)."""
        at = x[self.time, self.node]
        factor = np.choose(self.quantity, [1.0 + 0j, -1j, 2.0 * at.conj()])
        result = np.zeros_like(x)
        np.add.at(result, (self.time, self.node), weights * factor)
        return result


class QuantumModel:
    """Coefficients of V ↦ readings of x, a ``Model``.

    Args:
        line: where.
        initial: x(0), shape (node,), complex.
        measurements: what is read.
        modes: number of coefficients.
        comm: m lives on its rank 0; all ranks do the same small work.
    """

    def __init__(
        self,
        line: Line,
        initial: np.ndarray,
        measurements: Measurements,
        modes: int,
        comm: MPI.Comm = MPI.COMM_SELF,
    ):
        self.line, self.initial, self.measurements = line, initial, measurements
        self.basis, self.wave_numbers = line.waves(modes)
        self.kinetic = line.kinetic()
        self.unknowns = unknowns("coefficients", modes, comm)

    def derived(self, coefficients: np.ndarray) -> dict[str, np.ndarray]:
        """What a draw is also looked at as."""
        return {"V": self.basis @ coefficients}

    def observe(self, m: PETSc.Vec) -> np.ndarray:
        """Predicted readings (collective)."""
        return self.linearise(m).predicted

    def linearise(self, m: PETSc.Vec) -> QuantumLinearisation:
        """The model at m (collective)."""
        return QuantumLinearisation(self, self.basis @ self.unknowns.to_numpy(m))

    def potential(self, values: np.ndarray, std: np.ndarray) -> Potential:
        """Of readings with normal errors."""
        return Potential(self, Gaussian(values, std))


class QuantumLinearisation:
    """The equation with one V.

    Attributes:
        states: x at the times, shape (time, node).
        predicted: readings, shape (reading,).
    """

    def __init__(self, model: QuantumModel, V: np.ndarray):
        self.model = model
        self.energies, self.vectors = eigh(model.kinetic + np.diag(V))
        self.start = self.vectors.T @ model.initial
        self.phases = np.exp(-1j * model.measurements.times[:, None] * self.energies)
        self.states = (self.phases * self.start) @ self.vectors.T
        self.predicted = model.measurements.of(self.states)

    def push(self, dm: PETSc.Vec) -> np.ndarray:
        """Derivative of the readings along dm (collective)."""
        model = self.model
        dV = model.basis @ model.unknowns.to_numpy(dm)
        inner = self.vectors.T @ (dV[:, None] * self.vectors)
        E = -1j * self.energies
        moved = [
            (-1j * divided_difference(E[:, None], E[None, :], t) * inner) @ self.start
            for t in model.measurements.times
        ]
        return model.measurements.push(self.states, np.array(moved) @ self.vectors.T)

    def pull(self, weights: np.ndarray) -> PETSc.Vec:
        """Σ w ∇(reading), all times at once (collective)."""
        model, times = self.model, self.model.measurements.times
        left = model.measurements.pull(self.states, weights)
        generator = -1j * (self.vectors * self.energies) @ self.vectors.T
        basis = Eigenbasis(-1j * self.energies, self.vectors, self.vectors.T, np.float64(1.0))
        right = np.broadcast_to(model.initial, left.shape)
        G = bilinear_gradient(generator, left, right, times, "daleckii-krein", basis=basis)
        gradient = (-1j * np.diagonal(G)).real
        return model.unknowns.from_numpy(model.basis.T @ gradient)
