"""Integers of JSON, where 3.0 is one, too (JSON Schema, section 6.1.1), and "3" is none."""

from typing import Annotated

from pydantic import BeforeValidator, Strict


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, Strict(), BeforeValidator(_whole)]
