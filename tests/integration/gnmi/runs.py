"""Running the probe against a device of the tests, and reading what it gave."""

from typing import Any, Final

from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.hostport import host_port
from streamswarm_core.point import Point
from streamswarm_core.probespecs import GnmiParams

PASSWORD: Final = "correct-horse-battery"
PLAIN: Final = {"insecure": True}


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def look(port: int, context: Context, **options: Any) -> list[Point]:
    """One run against a port of this host."""
    return await look_at(host_port("127.0.0.1", port), context, **options)


async def look_at(target: str, context: Context, **options: Any) -> list[Point]:
    """One run; every field of its points is the catalogue's."""
    points = await PROBES["gnmi"].run(target, GnmiParams.model_validate(options), context)
    assert points[0].measurement == "gnmi"
    assert all(name in CATALOGUE[point.measurement] for point in points for name in point.fields)
    return points


def told(points: list[Point]) -> tuple[Any, Any]:
    return points[0].fields["up"], points[0].fields.get("error")


def of(points: list[Point], measurement: str, **tags: str) -> Point:
    (found,) = [
        point for point in points if point.measurement == measurement and tags.items() <= dict(point.tags).items()
    ]
    return found
