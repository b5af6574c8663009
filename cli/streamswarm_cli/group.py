"""Where the services of `streamswarm up` find each other."""

from collections.abc import Mapping
from typing import Any

from streamswarm_cli.services import COLLECTOR, CONTROLPLANE, ML
from streamswarm_core.hostport import local_url
from streamswarm_core.settings import ServiceSettings


def url_of(settings: ServiceSettings) -> str:
    """Where a service of this machine is asked."""
    return local_url(str(getattr(settings, "host")), int(getattr(settings, "port")))  # noqa: B009 - each service declares its own


def group_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """The variables that tell each service of the group where the others are.

    Args:
        settings: by the services' names.
    """
    controlplane, collector = url_of(settings[CONTROLPLANE.name]), url_of(settings[COLLECTOR.name])
    # One that reads PromQL has said from where.
    stores = {
        f"STREAMSWARM_{service.name.upper()}_STORE_URL": collector
        for service in (CONTROLPLANE, ML)
        if settings[service.name].store_kind == "influxql"
    }
    return {
        "STREAMSWARM_COLLECTOR_CONTROLPLANE_URL": controlplane,
        "STREAMSWARM_ML_CONTROLPLANE_URL": controlplane,
        "STREAMSWARM_AGENT_CONTROLPLANE_URL": controlplane,
        "STREAMSWARM_AGENT_COLLECTOR_URL": collector,
        "STREAMSWARM_ML_WRITE_URL": collector,
        **stores,
    }
