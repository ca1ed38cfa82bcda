"""Which keys a file gives, and the refusal of those that nothing takes."""

from __future__ import annotations

from collections.abc import Iterable

from advdiff.config.types import Table, fault


def is_given(table: Table, name: str) -> bool:
    """Whether a key has another value than where it is left out."""
    return getattr(table, name) != type(table).model_fields[name].get_default()


def refuse(table: Table, names: Iterable[str], only: str, *path: str) -> None:
    """Raise a ``fault`` for the first of these keys that is given.

    Args:
        only: what takes it.
        path: of the table in the one that is checked.
    """
    for name in names:
        if is_given(table, name):
            raise fault((*path, name), f"only {only} takes it; remove it")
