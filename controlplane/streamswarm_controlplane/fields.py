"""Types of values that several requests have."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BeforeValidator, Field

_DATE_AND_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _written(value: Any) -> Any:
    """Numbers are refused: pydantic would take them for seconds, or for milliseconds if they are large."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_AND_TIME.match(value)):
        return value
    raise ValueError("takes a date and time with its zone, such as 2026-01-31T12:00:00Z")


def _number(value: Any) -> Any:
    """Neither true nor "1": pydantic would take both for 1."""
    if isinstance(value, bool | str):
        raise ValueError("takes a whole number")  # noqa: TRY004 - pydantic passes only this one on
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A point in time as RFC 3339 writes it."""
Count = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_number)]
"""A whole number that every database can hold."""
