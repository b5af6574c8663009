"""Running a probe once, as tests do."""

from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS


async def run(name: str, target: str, context: Context, **options: object) -> Point:
    """The one point that a run gives; its fields are all in the catalogue."""
    params = SPECS[name].params.model_validate(options)
    (point,) = await PROBES[name].run(target, params, context)
    assert all(field in CATALOGUE[name] for field in point.fields)
    return point


def seconds(point: Point, *names: str) -> float:
    """Fields of a point added up."""
    return sum(float(point.fields[name]) for name in names)
