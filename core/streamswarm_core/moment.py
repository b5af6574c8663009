import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BeforeValidator

_WRITTEN: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _WRITTEN.match(value)):
        return value
    raise ValueError("takes a date and time with its zone, such as 2026-01-31T12:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A point in time as RFC 3339 writes it; a number could be seconds or milliseconds."""
