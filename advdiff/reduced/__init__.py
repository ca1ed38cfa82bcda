"""Reduced models: V*A(m)V made once under MPI, then gradients in milliseconds, with a bound.

The room has two halves.  Offline (``basis``, ``family``, ``full``, ``projection``, ``greedy``,
``trust``, ``groups``) needs the mesh, PETSc and MPI.  Online (``model``, ``misfit``, ``bound``,
``affine``) is numpy, scipy and :mod:`advdiff.matexp` alone, and this package imports nothing else:
a saved model is opened where there is no PETSc.
"""

from advdiff.reduced.affine import Affine
from advdiff.reduced.bound import ResidualBound
from advdiff.reduced.misfit import GaussianPrior, ReducedMisfit
from advdiff.reduced.model import ReducedModel

__all__ = ["Affine", "GaussianPrior", "ReducedMisfit", "ReducedModel", "ResidualBound"]
