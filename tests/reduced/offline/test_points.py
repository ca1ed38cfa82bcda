"""Terms at the quadrature points against the same terms as matrices."""

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.algebra.columns import column, plain
from advdiff.reduced.offline.assembled import Assembled
from advdiff.reduced.offline.basis import Basis
from advdiff.reduced.offline.points import Points, _lines
from tests.reduced import cases

UNKNOWNS = {"velocity": {"family": "fourier", "largest": 1.5}, "diffusivity": True}
PRIOR = {"velocity": {"std": 1.0}, "diffusivity": {"std": 0.5}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A torus whose velocity and diffusivity are unknown, away from the mean."""
    folder = MPI.COMM_WORLD.bcast(tmp_path_factory.mktemp("points"))
    problem = cases.torus(folder, unknowns=UNKNOWNS, prior=PRIOR)
    found = cases.reducer(problem, tolerance=1e-3, residuals="none")
    found.enrich([found.evaluate(cases.nearby(found, 0.5))])
    found.full.stand_at(cases.nearby(found, 0.5))
    return found


def blocks(made, old: int):
    """The first columns of V, and the others."""
    basis, found = made.basis, []
    for first, last in ((0, old), (old, basis.size)):
        block = plain(basis.vectors, last - first)
        for i in range(first, last):
            with column(basis.vectors, i) as vector:
                block.insertVec(i - first, vector)
        found.append(block)
    return found


def directions(made):
    """A mode of the velocity, and the diffusivity."""
    unknowns = made.model.unknowns
    for j in (1, made.mean.size - 1):
        vector = unknowns.from_numpy(np.eye(made.mean.size)[j])
        p = int(made.family._part[j])
        part = unknowns.parts[p]
        yield part.control, part.push(unknowns.extract(vector, p))


@pytest.mark.parametrize("old", [0, 3])
def test_the_same_products_as_the_matrices(made, old):
    operator = made.model.operator
    frames = Points(operator), Assembled(operator)
    terms = [[frame.reference()[0] for frame in frames]]
    terms += [[f.along(*direction)[0] for f in frames] for direction in directions(made)]
    left, right = blocks(made, old)
    for term, expected in zip(terms, (0, -1, 1), strict=True):
        found = []
        for frame, data in zip(frames, term, strict=True):
            sign = frame.sign(data)
            assert sign == expected
            sides = frame.side(left), frame.side(right)
            halved, whole = (frame.columns(data, s, *sides) for s in (sign, 0))
            image = plain(right, right.getActiveColumns()[1])
            frame.image(data, right, image)
            below = frame.below(data, *sides) if old else np.zeros(0)
            found.append([halved, whole, Basis.inner(right, image), below])
        size = np.abs(found[1][0]).max()
        for ours, theirs in zip(*found, strict=True):
            assert np.abs(ours - theirs).max(initial=0.0) < 1e-12 * size


def test_which_problems_they_suit(made, tmp_path):
    assert isinstance(made.family.frame, Points)
    # degree 1 has more points than entries; a box has walls, whose flux the forms carry
    assert not Points.suit(cases.problem(tmp_path).operator)
    sine = {"velocity": {"family": "sine", "modes": [1, 1]}}
    walled = cases.torus(tmp_path, domain={"periodic": []}, unknowns=sine)
    assert not Points.suit(walled.operator)


def test_lines_cover_every_entry_once():
    closed = [(0, 1), (0, 2), (1, 0), (2, 0)]
    for slots in (closed, [(1, 1), (2, 2)], [*closed, (1, 1), (1, 2), (2, 1), (2, 2)], []):
        covered = [
            (slot, other) if by_row else (other, slot)
            for slot, others, by_row in _lines(slots)
            for other in others
        ]
        assert sorted(covered) == sorted(slots)
    assert len(_lines(closed)) == 2
