"""Fields as a user writes them: numbers, expressions in x, y, z, or Python callables.

An expression such as ``"exp(-((x-0.35)**2 + (y-0.5)**2)/0.01)"`` is parsed to a syntax tree of
which every node must stand on a short list; nothing is ever handed to ``eval``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence

import numpy as np
import scipy.special
from dolfinx import fem

from advdiff.errors import InputError, agreed, require_finite, suggestion

FieldLike = float | int | str | Callable[[np.ndarray], np.ndarray]

LONGEST = 4000
COORDINATES = ("x", "y", "z")
CONSTANTS = {"pi": np.pi, "e": np.e}
ELEMENTARY = (
    *("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh", "arctan"),
    *("sign", "floor"),
)
FUNCTIONS: dict[str, tuple[Callable, int]] = {
    **{name: (getattr(np, name), 1) for name in ELEMENTARY},
    "abs": (np.abs, 1),
    "erf": (scipy.special.erf, 1),
    "erfc": (scipy.special.erfc, 1),
    "erfcx": (scipy.special.erfcx, 1),
    "atan2": (np.arctan2, 2),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    "where": (np.where, 3),
}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
}


class Expression:
    """A parsed expression; call it with coordinates of shape (dim or 3, n) for n values.

    Args:
        text: the expression.
        key: where it was written, for messages.
        dim: number of coordinates it may use.

    Raises:
        InputError: on a syntax error, an unknown name or anything that is not arithmetic.
    """

    def __init__(self, text: str, key: str = "expression", dim: int = 3):
        self.text, self.key, self.dim = text, key, dim
        if len(text) > LONGEST:
            raise InputError(f"{key}: an expression of {len(text)} characters; at most {LONGEST}")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            self._check(tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{key}: {text!r} is not an expression; write arithmetic in "
                f"{', '.join(COORDINATES[:dim])}, e.g. 'exp(-x**2)'"
            ) from None
        self._tree = tree

    def _refuse(self, what: str, remedy: str) -> InputError:
        return InputError(f"{self.key}: {what} in {self.text!r}; {remedy}")

    def _check(self, node: ast.AST) -> None:
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise self._refuse(f"the constant {node.value!r}", "only real numbers may occur")
            case ast.Constant(value=int() | float()):
                float(node.value)
            case ast.Name(id=name):
                known = [*COORDINATES[: self.dim], *CONSTANTS]
                if name not in known:
                    raise self._refuse(
                        f"unknown name '{name}'", suggestion(name, [*known, *FUNCTIONS])
                    )
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                self._check(left)
                self._check(right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                self._check(operand)
            case ast.BoolOp(values=values):
                for value in values:
                    self._check(value)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                self._check(left)
                self._check(right)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                if name not in FUNCTIONS:
                    raise self._refuse(
                        f"unknown function '{name}'", suggestion(name, list(FUNCTIONS))
                    )
                if len(arguments) != FUNCTIONS[name][1]:
                    raise self._refuse(
                        f"{name} with {len(arguments)} arguments", f"it takes {FUNCTIONS[name][1]}"
                    )
                for argument in arguments:
                    self._check(argument)
            case _:
                raise self._refuse(
                    f"'{type(node).__name__.lower()}'", "only arithmetic and functions may occur"
                )

    def _value(self, node: ast.AST, x: np.ndarray):
        match node:
            case ast.Constant(value=value):
                return np.float64(value)
            case ast.Name(id=name):
                return CONSTANTS[name] if name in CONSTANTS else x[COORDINATES.index(name)]
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATORS[type(op)](self._value(left, x), self._value(right, x))
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self._value(operand, x))
            case ast.BoolOp(op=op, values=values):
                result = self._value(values[0], x)
                for value in values[1:]:
                    result = OPERATORS[type(op)](result, self._value(value, x))
                return result
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return OPERATORS[type(op)](self._value(left, x), self._value(right, x))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return FUNCTIONS[name][0](*(self._value(a, x) for a in arguments))
        raise AssertionError("unreachable: _check admits no other node")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = self._value(self._tree, x)
        return np.broadcast_to(np.asarray(value, dtype=float), x.shape[1:]).copy()


def scalar_field(value: FieldLike, key: str, dim: int) -> Callable[[np.ndarray], np.ndarray]:
    """A callable of coordinates (3, n) with values (n,), from a number, expression or callable."""
    if isinstance(value, str):
        return Expression(value, key, dim)
    if callable(value):
        return value
    constant = float(value)
    return lambda x: np.full(x.shape[1], constant)


def vector_field(
    value: Sequence[FieldLike] | Callable[[np.ndarray], np.ndarray], key: str, dim: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A callable of coordinates (3, n) with values (dim, n)."""
    if callable(value):
        return value
    if len(value) != dim:
        raise InputError(f"{key}: {len(value)} components in {dim} dimensions; give {dim}")
    components = [scalar_field(c, f"{key}[{i}]", dim) for i, c in enumerate(value)]
    return lambda x: np.stack([component(x) for component in components])


def interpolate(
    field: Callable[[np.ndarray], np.ndarray], space: fem.FunctionSpace, key: str
) -> fem.Function:
    """Nodal interpolation of a callable (collective).

    Raises:
        InputError: where a value is not finite.
    """
    function = fem.Function(space, name=key)
    with agreed(space.mesh.comm):
        function.interpolate(field)
    require_finite(space.mesh.comm, function.x.array, key)
    return function
