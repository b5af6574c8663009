from datetime import datetime
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from streamswarm_controlplane.fields import ONE_LINE, SITE, Given
from streamswarm_core.zones import ZoneName

NamedSite = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63, pattern=SITE)]
"""A site's name as in agents' `site` tag."""
Latitude = Annotated[float, Field(ge=-90, le=90, strict=True, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, strict=True, allow_inf_nan=False)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300, pattern=ONE_LINE)]

_NORTH: Final = "Degrees, north positive; null where it isn't known."
_EAST: Final = "Degrees, east positive; given with the latitude, or not at all."
_CLOCK: Final = (
    "IANA name of its time zone, such as `Europe/Berlin`: the ML service counts the hours of the day and "
    "of the week by it. Null for that of its setting `time_zone`."
)
_WHERE: Final = "Street and town, or whatever leads there."
_EXAMPLE: Final[dict[str, JsonValue]] = {
    "name": "berlin",
    "latitude": 52.52,
    "longitude": 13.405,
    "time_zone": "Europe/Berlin",
    "address": "Alexanderplatz 1, Berlin",
}


def is_whole(latitude: float | None, longitude: float | None) -> bool:
    """Whether it is a place, or none."""
    return (latitude is None) == (longitude is None)


HALF_A_PLACE: Final = "takes latitude and longitude together, or neither"


class SiteCreate(BaseModel):
    """A new site."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: NamedSite = Field(description="What agents have as their site; it can't be changed afterwards.")
    latitude: Latitude | None = Field(None, description=_NORTH)
    longitude: Longitude | None = Field(None, description=_EAST)
    time_zone: ZoneName | None = Field(None, description=_CLOCK)
    address: Address = Field("", description=_WHERE)

    @model_validator(mode="after")
    def _place(self) -> Self:
        if not is_whole(self.latitude, self.longitude):
            raise ValueError(HALF_A_PLACE)
        return self


class SiteUpdate(BaseModel):
    """What can be changed of a site; what is not given stays, and null takes the place or the time zone away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"latitude": 52.52, "longitude": 13.405}]}
    )

    latitude: Latitude | None = Field(None, description=_NORTH)
    longitude: Longitude | None = Field(None, description=_EAST)
    time_zone: ZoneName | None = Field(None, description=_CLOCK)
    address: Given[Address] = Field(None, description=_WHERE)


class SitePublic(BaseModel):
    """A site as users see it."""

    MEASURED: ClassVar = frozenset({"agents", "offline"})
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "0f6b4a52a3d2f4f1b8a7c6e95d1a8d3c",
                    **_EXAMPLE,
                    "agents": 3,
                    "offline": 1,
                    "created_at": "2026-01-01T08:00:00Z",
                    "updated_at": "2026-01-01T08:00:00Z",
                }
            ]
        }
    )

    id: str
    name: str
    latitude: float | None = Field(description=_NORTH)
    longitude: float | None = Field(description=_EAST)
    time_zone: str | None = Field(description=_CLOCK)
    address: str
    agents: int = Field(description="Agents of this site, without those that were shut out.")
    offline: int = Field(description="How many of them are offline.")
    created_at: datetime
    updated_at: datetime


class UnlistedSite(BaseModel):
    """A site that agents name and nobody has added."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "paris", "agents": 2, "offline": 0}]})

    name: str
    agents: int
    offline: int
