"""Types of values that several requests have."""

from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
NAME_OR_NONE: Final = r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$"
SITE: Final = r"^[A-Za-z0-9._ -]*$"
LABEL: Final = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
LABEL_FILTER: Final = r"^[a-zA-Z_][a-zA-Z0-9_]*(=[^\x00-\x1f\x7f]*)?$"
USERNAME: Final = r"^[^\s/\\:@]+(@[^\s/\\:@]+)?$"
ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
KEY: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
MAIL: Final = r'^[^@\s<>,;:"()\[\]\\]+@[^@\s<>,;:"()\[\]\\]+$'
PATTERNS: Final = {
    NAME: "takes letters A to Z, digits, '.', '_' and '-', the first a letter or a digit",
    NAME_OR_NONE: "takes letters A to Z, digits, '.', '_' and '-', the first a letter or a digit",
    SITE: "takes letters A to Z, digits, spaces, '.', '_' and '-'",
    LABEL: "takes letters A to Z, digits and '_', the first no digit",
    LABEL_FILTER: "takes a label's name, or NAME=VALUE, such as role=edge",
    USERNAME: "takes a name without spaces, '/', '\\' and ':', or one like kim@example.org",
    ONE_LINE: "takes one line, without control characters",
    KEY: "takes up to 63 lower-case letters, digits and '-', the first no '-'",
    MAIL: "takes one e-mail address, such as noc@example.org",
}
"""What a text has to look like, and how that is said to whoever writes it."""


def _number(value: Any) -> Any:
    """Neither true nor "1": pydantic would take both for 1."""
    if isinstance(value, bool | str):
        raise ValueError("takes a whole number")  # noqa: TRY004 - pydantic passes only this one on
    return value


Count = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_number)]
"""A whole number that every database can hold."""


class _NotNull:
    """Takes the null out of `T | None`: what is refused is then told what `T` takes."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        inner: CoreSchema = schema["schema"] if schema["type"] == "nullable" else schema
        return inner


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


T = TypeVar("T")
Given = Annotated[T | None, _NotNull(), Field(json_schema_extra=_without_default)]
"""A field of a change: None where it was left out, which can't be said with null."""
