"""Gradients of a matrix exponential, for dense matrices: numpy and scipy only."""

from .methods import METHODS, derivative, gradient
from .operands import DomainError, Result
