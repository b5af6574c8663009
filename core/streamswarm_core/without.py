"""Importing a package without what it takes along."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Let `import module` fail in here as if it weren't installed, for what can do without it.

    A module that is imported already stays as it is.

    >>> with without("this"):
    ...     import this
    Traceback (most recent call last):
    ModuleNotFoundError: import of this halted; None in sys.modules
    """
    kept_out = [module for module in modules if module not in sys.modules]
    for module in kept_out:
        sys.modules[module] = None  # type: ignore[assignment] # Python's way to say that a module is not there
    try:
        yield
    finally:
        for module in kept_out:
            del sys.modules[module]
