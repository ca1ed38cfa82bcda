"""Arithmetic expressions in x, y, z, as a user writes them into an experiment file.

An expression such as ``"exp(-((x-0.35)**2 + (y-0.5)**2)/0.01)"`` is parsed to a syntax tree of
which every node must stand on a short list; nothing is ever handed to ``eval``.  Every number is a
double, so no power can grow without end.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable

import numpy as np

from advdiff.core.errors import InputError, shortened, suggestion

LONGEST = 4000
DEEPEST = 200
AT_ONCE = 1 << 13
"""Points that are looked at together, few enough to stay in the cache."""
AXES = ("x", "y", "z")
CONSTANTS = {"pi": np.pi, "e": np.e}
ELEMENTARY = (
    *("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh", "arctan"),
    *("sign", "floor"),
)


def _special(name: str) -> Callable:
    """A function of scipy.special, whose import takes longer than most expressions."""

    def function(x):
        import scipy.special

        return getattr(scipy.special, name)(x)

    return function


FUNCTIONS: dict[str, tuple[Callable, int]] = {
    **{name: (getattr(np, name), 1) for name in ELEMENTARY},
    "abs": (np.abs, 1),
    **{name: (_special(name), 1) for name in ("erf", "erfc", "erfcx")},
    "atan2": (np.arctan2, 2),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    "where": (np.where, 3),
}
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
LOGIC = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
}
"""Operators that answer yes or no: 1.0 or 0.0, with which one may calculate."""
OPERATORS = ARITHMETIC | LOGIC
REMEDIES = {
    ast.BitXor: ("'^' is not a power", "write **"),
    ast.Eq: ("'==' of real numbers", "write <= or >="),
    ast.Compare: ("a chain of comparisons", "write '0 < x and x < 1'"),
    ast.IfExp: ("if … else", "write where(condition, a, b)"),
    ast.Attribute: ("a dot between names", "write 'sin', not 'np.sin'"),
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
            raise InputError(
                f"{key}: an expression of {len(text)} characters; at most {LONGEST}, shorten it"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else "not an expression"
            raise self._refuse(
                reason, f"write arithmetic in {', '.join(AXES[:dim])}, e.g. 'exp(-x**2)'"
            ) from None
        self._check(tree, 1)
        self._tree = tree

    def _refuse(self, what: str, remedy: str) -> InputError:
        return InputError(f"{self.key} = {shortened(self.text)}: {what}; {remedy}")

    def _check(self, node: ast.AST, depth: int) -> None:
        if depth > DEEPEST:
            raise self._refuse(
                f"nested deeper than {DEEPEST}", "group its terms by parentheses, or shorten it"
            )
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise self._refuse(
                    f"the constant {shortened(node.value)}", "only real numbers may occur"
                )
            case ast.Constant(value=int() | float()):
                try:
                    float(node.value)
                except OverflowError:
                    raise self._refuse("a number beyond 1e308", "write a smaller one") from None
                children = []
            case ast.Name(id=name):
                self._check_name(name)
                children = []
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                children = [left, right]
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                children = [operand]
            case ast.BoolOp(values=children):
                pass
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                children = [left, right]
            case ast.Call(func=ast.Name(id=name), args=children, keywords=[]):
                if name not in FUNCTIONS:
                    raise self._refuse(
                        f"unknown function {shortened(name)}", suggestion(name, list(FUNCTIONS))
                    )
                takes = FUNCTIONS[name][1]
                if len(children) != takes:
                    raise self._refuse(f"{name} of {len(children)} arguments", f"it takes {takes}")
            case _:
                raise self._refuse(*_trouble(node))
        for child in children:
            self._check(child, depth + 1)

    def _check_name(self, name: str) -> None:
        known = [*AXES[: self.dim], *CONSTANTS]
        if name in FUNCTIONS:
            raise self._refuse(f"function '{name}' without arguments", f"write {name}(…)")
        if name in AXES[self.dim :]:
            raise self._refuse(
                f"'{name}' in {self.dim} dimension(s)", f"write it in {', '.join(known[:-2])}"
            )
        if name not in known:
            raise self._refuse(f"unknown name {shortened(name)}", suggestion(name, known))

    def _value(self, node: ast.AST, x: np.ndarray):
        match node:
            case ast.Constant(value=value):
                return np.float64(value)
            case ast.Name(id=name):
                return CONSTANTS[name] if name in CONSTANTS else x[AXES.index(name)]
            case ast.BinOp(op=op, left=left, right=right):
                parts = [left, right]
            case ast.UnaryOp(op=op, operand=operand):
                parts = [operand]
            case ast.BoolOp(op=op, values=parts):
                pass
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                parts = [left, right]
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return FUNCTIONS[name][0](*(self._value(a, x) for a in arguments))
            case _:
                raise AssertionError("unreachable: _check admits no other node")
        function = OPERATORS[type(op)]
        first, *rest = (self._value(part, x) for part in parts)
        value = function(first, rest.pop(0)) if rest else function(first)
        for other in rest:
            value = function(value, other)
        return np.float64(value) if type(op) in LOGIC else value

    def __call__(self, x: np.ndarray) -> np.ndarray:
        result = np.empty(x.shape[1:])
        with np.errstate(all="ignore"):
            for first in range(0, x.shape[-1], AT_ONCE):
                some = slice(first, first + AT_ONCE)
                result[..., some] = self._value(self._tree, x[..., some])
        return result


def _trouble(node: ast.AST) -> tuple[str, str]:
    """What is wrong with a node that may not occur, and what to write for it."""
    kinds = [type(node), *(type(child) for child in ast.iter_child_nodes(node))]
    if isinstance(node, ast.Compare):
        kinds = [*(type(op) for op in node.ops), ast.Compare]
    known = next((REMEDIES[kind] for kind in kinds if kind in REMEDIES), None)
    return known or (
        f"'{type(node).__name__.lower()}' is not arithmetic",
        "write numbers, coordinates, + - * / **, comparisons and functions",
    )
