"""URLs may hold a password, and what can't be reached at a URL is told with it: to logs, terminals and other users."""

import re
from typing import Final

MASK: Final = "********"
_PASSWORD: Final = re.compile(r"(://[^\s/?#@:]*):[^\s/?#]*@")


def masked(text: str) -> str:
    """The same without passwords in URLs.

    >>> masked("http://kim:p@ss@store.example:8086/query: refused"), masked("http://[::1]:8801/a@b:c@d")
    ('http://kim:********@store.example:8086/query: refused', 'http://[::1]:8801/a@b:c@d')
    >>> masked("http://kim:PASSWORD@store.example")
    'http://kim:********@store.example'
    """
    return _PASSWORD.sub(rf"\1:{MASK}@", text)
