from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


class InvalidField(BaseModel):
    """One input value that can't be used."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="Path of the value in the request, such as `body.params.count`.")
    message: str = Field(description="What is wrong and what would be accepted.")


class Problem(BaseModel):
    """An error that a person reads, RFC 9457 (application/problem+json)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field("about:blank", description="A URI that names the kind of problem.")
    title: str = Field(description="The kind of problem, in a few words.")
    status: int = Field(ge=400, le=599, description="The HTTP status code.")
    detail: str = Field("", description="What went wrong this time, and what would be accepted.")
    errors: tuple[InvalidField, ...] = Field((), description="The values that can't be used, one by one.")

    def body(self) -> dict[str, Any]:
        """The document as JSON-ready values, without what is empty."""
        return self.model_dump(exclude_defaults=True, mode="json")
