"""Importing a package without what it takes along."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(module: str) -> Iterator[None]:
    """Let `import module` fail in here as if it weren't installed, for what can do without it.

    A module that is imported already stays as it is.

    >>> with without("this"):
    ...     import this
    Traceback (most recent call last):
    ModuleNotFoundError: import of this halted; None in sys.modules
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment] # Python's way to say that a module is not there
    try:
        yield
    finally:
        del sys.modules[module]
