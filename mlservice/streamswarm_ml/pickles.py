"""Reads what an older version of a class was pickled as."""

from typing import Any

Pickled = tuple[None, dict[str, Any]]
"""What `__setstate__` of a class with slots gets."""


def restore(made: object, state: Pickled, fresh: object) -> None:
    """Fill the slots of `made`; those that the pickle doesn't know yet, with what `fresh` has.

    Args:
        made: from `__new__`, nothing in it.
        state: what `__setstate__` got.
        fresh: an object of the same class as it is at first.
    """
    for name in type(fresh).__slots__:  # type: ignore[attr-defined]  # of dataclasses with slots
        setattr(made, name, state[1].get(name, getattr(fresh, name)))
