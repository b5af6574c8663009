from collections.abc import Mapping
from typing import Any

from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.probes import Context, Engines, find_probe
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS


async def run_once(name: str, target: str, params: Mapping[str, Any]) -> list[Point]:
    """Run one probe once, outside any schedule.

    Raises:
        ConfigError: there is no such probe, or a file of place names can't be read.
    """
    probe = find_probe(name)
    if probe is None or name not in SPECS:
        raise ConfigError(f"no probe {name!r}; one of {', '.join(SPECS)}")
    settings = AgentSettings()
    engines = Engines(
        PlaceNames(settings.geo_asn_file, settings.geo_city_file), Keys(settings.keys, settings.key_hosts)
    )
    try:
        return await probe.run(target, SPECS[name].params.model_validate(params), Context(engines))
    finally:
        engines.close()
