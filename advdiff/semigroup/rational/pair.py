"""A state and its derivative along a change of A as one vector, for an Arnoldi process of both.

With dA = M⁻¹D the pair (θ', θ) evolves by Â = [[A, dA], [0, A]], and f(Â)(0, θ) = (f'(A)[dA] θ,
f(A) θ): a polynomial that is right here is right in its derivative, also where it meets a single
eigenvalue (Higham 2008, theorem 3.6).  A Krylov space of states alone ends after as many vectors as
A has eigenvalues; its polynomial is then exact at each of them, and nothing ties its slopes.
"""

from __future__ import annotations

from petsc4py import PETSc

from advdiff.algebra.resolvent import Resolvent


class PairResolvent:
    """(I − γÂ)⁻¹ along noise of the size of A, an ``Operator`` of Arnoldi (collective).

    A pair is a vector whose local entries are those of θ' and then those of θ.  Twice the solves of
    the resolvent it is made from, which has to outlive it.

    Args:
        resolvent: (M − γK)⁻¹.
        noise: s, entries up to 1 in size: D = S K S less its sums of rows, S = diag(s).

    Attributes:
        pole: γ.
        inner: the inner product of L², of both parts.
    """

    def __init__(self, resolvent: Resolvent, noise: PETSc.Vec):
        self.pole = resolvent.pole
        self._resolvent = resolvent
        self._parts = [noise.duplicate() for _ in range(4)]
        self._direction = _direction(resolvent, noise)
        inner = resolvent.inner
        self.inner = PETSc.Mat().createNest([[inner, None], [None, inner]], comm=noise.comm)

    def pair(self, state: PETSc.Vec) -> PETSc.Vec:
        """(0, θ), a new vector."""
        local = state.getLocalSize()
        pair = PETSc.Vec().createMPI((2 * local, None), comm=state.comm)
        pair.array[local:] = state.array_r
        return pair

    def apply(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = (I − γÂ)⁻¹ x."""
        self._split(x)
        self._apply()
        derivative, state, *_ = self._parts
        local = state.getLocalSize()
        y.array[:local] = derivative.array_r
        y.array[local:] = state.array_r

    def norm(self, x: PETSc.Vec) -> float:
        """√(‖θ'‖² + ‖θ‖²) in L²."""
        self._split(x)
        derivative, state, *_ = self._parts
        return float((self._size(derivative) ** 2 + self._size(state) ** 2) ** 0.5)

    def destroy(self) -> None:
        """Free what is its own (collective)."""
        self._direction.destroy()
        self.inner.destroy()
        for part in self._parts:
            part.destroy()

    def _split(self, x: PETSc.Vec) -> None:
        derivative, state, *_ = self._parts
        local = state.getLocalSize()
        derivative.setArray(x.array_r[:local])
        state.setArray(x.array_r[local:])

    def _apply(self) -> None:
        """Of the first two parts, in their place: θ = L θ, then θ' = R (M θ' + γ D θ)."""
        derivative, state, load, work = self._parts
        self._resolvent.apply(state, work)
        work.copy(state)
        self._direction.mult(state, load)
        load.scale(self.pole)
        self._resolvent.conserve(load)
        self._resolvent.generator.mass.mult(derivative, work)
        load.axpy(1.0, work)
        self._resolvent.solve(load, derivative)

    def _size(self, x: PETSc.Vec) -> float:
        return self._resolvent.norm(x)


def _direction(resolvent: Resolvent, noise: PETSc.Vec) -> PETSc.Mat:
    generator = resolvent.generator
    direction = generator.stiffness.copy()
    direction.diagonalScale(noise, noise)
    if generator.constant is None:  # bounded by K then, as a noisy diffusivity is
        ones = generator.ones()
        sums = ones.duplicate()
        direction.mult(ones, sums)
        sums.scale(-1.0)
        direction.setDiagonal(sums, PETSc.InsertMode.ADD_VALUES)
        ones.destroy()
        sums.destroy()
    return direction
