"""What a key may be asked to hold: strategies made from the schema's own types.

A key that is added to the schema is fuzzed without a word here; only validators that are plain
functions, whose type says nothing, have an entry in ``PLAIN``.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import PlainValidator
from pydantic.fields import FieldInfo

from advdiff.config import types as keytypes
from advdiff.config.tables import study
from advdiff.config.types import Table

CANARY = "advdiff_canary"
"""What hostile texts try to make, import or call."""

# -- texts and numbers ----------------------------------------------------------------------------

CODE = [
    f"__import__('os').system('touch {CANARY}')",
    f"open('{CANARY}', 'w')",
    f"exec('import {CANARY}')",
    f"eval('{CANARY}')",
    f"().__class__.__bases__[0].__subclasses__()  # {CANARY}",
    f"x.__class__.__init__.__globals__['{CANARY}']",
    f"(lambda: {CANARY})()",
    f"[{CANARY} for x in y]",
    f"f'{{{CANARY}}}'",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY} ;",
    "{0.__class__}",
    "%s%s%s%n",
]
GROWTH = [
    "9**9**9",
    "9**9**9**9",
    "x**1e308",
    "exp(exp(exp(9)))",
    "-" * 2000 + "x",
    "(" * 150 + "x" + ")" * 150,
    "(" * 3000 + "x" + ")" * 3000,
    "+".join("x" * 900),
    "x*" * 150 + "x",
    "sin(" * 99 + "x" + ")" * 99,
    "9" * 5000,
    "x" * 100_000,
    "1e309",
    "0/0",
    "1/x",
    "log(x - 9)",
]
ODD = [
    "",
    " ",
    "\n",
    "\t",
    "\0",
    "x\0y",
    "x\ny",
    "x # y",
    "х",  # Cyrillic
    "ｘ",  # full width: Python's parser takes it for x
    "π",
    "𝟙",
    "x²",
    "é" * 300,
    "\u202e",
    "\ufeffx",
    "💣",
    "x y",
    "x;y",
    "x=1",
    "sin",
    "sin()",
    "np.sin(x)",
    "0 < x < 1",
    "nan",
    "inf",
    "True",
    "None",
    "1_0",
    "0x10",
    "1e3",
    "x if y else z",
]
FINE = [
    "x",
    "y",
    "0",
    "1.0",
    "sin(pi*x)",
    "exp(-((x-0.35)**2 + (y-0.5)**2)/0.01)",
    "where(x<y,1,0)",
]
NAMES = [
    *("left", "right", "bottom", "top", "front", "water", "wall", "lft", "free", "none"),
    *("a/b", "..", ".", "", "/", "../../up", "a\0b", "a\nb", "é", "n" * 300, "name with spaces"),
]
PATHS = [
    *("obs.csv", "obs.h5", "grid.nc", "mesh.msh", "mesh.geo", "e.toml", "r.h5", "none.csv"),
    *("", ".", "..", "/", "a\0b", "none/x.h5", "../x.h5", "n" * 300 + ".h5", "é.h5", "~/x.h5"),
    *(
        "x.vtkhdf",
        "x.txt",
        "x",
        "-x.h5",
        " ",
        "/proc/self/mem",
        "/dev/null",
        "/dev/zero",
        "$HOME.h5",
    ),
    *("file:///etc/passwd", "https://example.org/x.nc", "s3://x/y", "x.h5::/group", "*.h5"),
]

LETTERS = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.sampled_from(FINE),
    st.sampled_from(CODE),
    st.sampled_from(GROWTH),
    st.sampled_from(ODD),
    st.text(LETTERS, max_size=40),
    st.text("xyzeinpsiqrt0123456789.+-*/()<>, ", max_size=30),
)
file_names = st.one_of(st.sampled_from(PATHS), st.text("ab.\\:é ", min_size=1, max_size=12))
names = st.one_of(st.sampled_from(NAMES), st.text(LETTERS, max_size=8))
SIZES = [0, 1, 2, 3, 4, 5, 7, 16, 100, 10**4, 10**6, 10**7, 2**31 - 1, 2**31, 10**9, 10**12]
integers = st.one_of(
    st.sampled_from([*SIZES, 10**15, 2**63, 2**64, 10**30, 10**400]),
    st.sampled_from([-1, -2, -(2**31), -(2**63)]),
    st.integers(-10, 100),
)
floats = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, 2.0, 1e-3, 1e-9, 1e-15, 1e-300, 5e-324, 1e9]),
    st.sampled_from([1e300, 1.7e308, math.nan, math.inf, -math.inf, -1.0, -1e300]),
    st.floats(),
)
numbers = integers | floats
moments = st.one_of(
    integers, floats, st.sampled_from(["2020-01-01", "2020-13-01", "now", "0", "2020-01-01T25:00"])
)
anything = st.recursive(
    st.one_of(numbers, texts, st.booleans(), st.dates().map(date.isoformat), file_names),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
"""What TOML can say, of any type."""

# -- from the types of the schema -----------------------------------------------------------------

scalars = st.one_of(
    texts,
    floats,
    st.sampled_from(FINE),
    st.fixed_dictionaries(
        {"file": file_names, "name": st.sampled_from(["u", "v", "w", "t", "x", "", "a/b", "/"])},
        optional={
            "time": moments,
            "axes": st.lists(st.sampled_from(["x", "y", "lon", "q", ""]), max_size=3),
            "interpolation": st.sampled_from(["linear", "cubic", "cubik"]),
            "scale": floats,
        },
    ),
)
PLAIN = {
    keytypes._scalar: scalars,
    keytypes._wall: st.one_of(floats, st.sampled_from(["free", "fre"]), texts),
    keytypes._outputs: st.one_of(
        integers,
        st.lists(floats, max_size=4),
        st.sampled_from([[0.05, 0.1], [0.0, 0.1], [0.1, 0.05], [0.05, 0.05], [0.1] * 3000]),
    ),
    keytypes._moment: moments,
    keytypes._number_or_field: st.sampled_from([True, False, "field", "fields", 1, 0]),
    keytypes._option: st.one_of(texts, numbers, st.booleans(), file_names),
    study._counts: st.one_of(integers, st.lists(integers, max_size=3)),
}
small = st.sampled_from([0.01, 0.1, 0.3, 0.5, 1.0, 2.0])
MILD = {
    keytypes._scalar: st.one_of(small, st.sampled_from(FINE)),
    keytypes._wall: st.one_of(small, st.just("free")),
    keytypes._outputs: st.sampled_from([1, 2, 3, [0.05, 0.1], [0.1]]),
    keytypes._moment: st.integers(0, 2),
    keytypes._number_or_field: st.sampled_from([True, False, "field"]),
    keytypes._option: st.sampled_from(["none", "lu", 3, True]),
    study._counts: st.integers(1, 2),
}


def of(annotation: Any, metadata: tuple | list = (), mild: bool = False) -> st.SearchStrategy:
    """Values for a type of the schema, most of them possible, some at its limits and beyond.

    Args:
        mild: only such as somebody might mean, so that what they do together is met.
    """
    for item in metadata:
        if isinstance(item, PlainValidator):
            return (MILD if mild else PLAIN).get(item.func, anything)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return of(arguments[0], [*metadata, *_flat(arguments[1:])], mild)
    if origin in (Union, types.UnionType):
        return st.one_of([of(a, (), mild) for a in arguments if a is not type(None)])
    if origin is Literal:
        known = st.sampled_from(arguments)
        return known if mild else st.one_of(known, known.map(_misspelt))
    if origin is list:
        return st.lists(of(arguments[0], (), mild), min_size=int(mild), max_size=3)
    if origin is dict:
        keys = st.sampled_from(["left", "top", "right"])
        keys = keys if mild else keys | names | _prefixed
        return st.dictionaries(keys, of(arguments[1], (), mild), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return table(annotation, mild)
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(1, 6) if mild else st.one_of(_limits(metadata).map(int), integers)
    if annotation is float:
        return small if mild else st.one_of(_limits(metadata), floats)
    if annotation is str:
        is_file = any(getattr(item, "func", None) is keytypes._file_name for item in metadata)
        return file_names if is_file else st.one_of(names, texts)
    return anything


_prefixed = st.sampled_from(
    [
        *("advdiff_mfn_type", "advdiff_resolvent_pc_type", "tao_type", "tao_max_it", "tao_view"),
        *("advdiff_resolvent_pc_python_type", "tao_python_type", "tao_monitor", "options_file"),
        *("advdiff_faber_tolerance", "advdiff_shift_invert_dimension", "advdiff_mfn_max_it"),
        *("advdiff_mfn_ncv", "log_view", "malloc_dump", "ksp_view", "advdiff_resolvent_ksp_view"),
    ]
)


def _flat(metadata) -> list:
    return [
        inner
        for item in metadata
        for inner in (item.metadata if isinstance(item, FieldInfo) else [item])
    ]


def _misspelt(word: Any) -> Any:
    return word[:1] + word[2:3] + word[1:2] + word[3:] if isinstance(word, str) else word


def _limits(metadata) -> st.SearchStrategy:
    """Numbers at and around the bounds of a type, else small ones."""
    bounds = [
        float(value)
        for item in _flat(metadata)
        for name in ("gt", "ge", "lt", "le")
        if (value := getattr(item, name, None)) is not None
    ]
    near = [b + d for b in bounds for d in (-1, 0, 1)]
    return st.sampled_from([*near, 1, 2, 3, 5, 8])


def table(kind: type[Table], mild: bool = False) -> st.SearchStrategy:
    """A table of one kind: its required keys, and some others."""
    fields = {k: f for k, f in kind.model_fields.items() if k not in ("path", "text")}
    strategies = {k: of(f.annotation, f.metadata, mild) for k, f in fields.items()}
    required = {k: v for k, v in strategies.items() if fields[k].is_required()}
    optional = {k: v for k, v in strategies.items() if k not in required}
    return st.fixed_dictionaries(required, optional=optional)


def places(kind: type[Table], key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of an experiment, tables and what they hold, with its field."""
    for name, field in kind.model_fields.items():
        if name in ("path", "text"):
            continue
        here = (*key, name)
        yield here, field
        for inner in _tables(field.annotation):
            yield from places(inner, here)


def _tables(annotation: Any) -> list[type[Table]]:
    """The tables that a type is, or is one of; not those inside a list or dict."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Table) else []
    if get_origin(annotation) in (list, dict, Literal):
        return []
    return [t for a in get_args(annotation) for t in _tables(a)]
