"""Agents' exporters as Prometheus finds them by HTTP."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_core.hostport import host_port

META: Final = "__meta_streamswarm_"
# What agents listen on, and no other path: one that was taken over could have Prometheus ask anybody anything.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[0-9A-Za-z._:-]+)):(?P<port>\d{1,5})(/metrics)?"
)


class TargetGroup(BaseModel):
    """One agent's exporter, in the format of Prometheus's `http_sd_configs`."""

    targets: list[str]
    labels: dict[str, str]


def target_groups(db: Session, site: str | None) -> list[TargetGroup]:
    """A group for each agent that has an exporter and hasn't been revoked, by name; those that are offline, too."""
    query = select(Agent).where(Agent.revoked_at.is_(None), Agent.exporter_url != "").order_by(Agent.name)
    if site is not None:
        query = query.where(Agent.site == site)
    groups = [_group(agent) for agent in db.scalars(query)]
    return [group for group in groups if group is not None]


def _group(agent: Agent) -> TargetGroup | None:
    found = _URL.fullmatch(agent.exporter_url)
    if found is None:
        return None
    host = reachable(found["v6"] or found["host"], agent.addresses)
    if _is_link_local(host):
        return None
    labels = {
        "__scheme__": found["scheme"],
        "__metrics_path__": "/metrics",
        "agent": agent.name,
        "site": agent.site,
        f"{META}agent": agent.name,
        f"{META}agent_id": agent.id,
        f"{META}site": agent.site,
        f"{META}version": agent.version,
        f"{META}exporter_url": agent.exporter_url,
        **{f"{META}label_{_label_name(name)}": value for name, value in agent.labels.items()},
    }
    target = host_port(host, found["port"])
    # An empty label is none to Prometheus.
    return TargetGroup(targets=[target], labels={name: value for name, value in labels.items() if value})


def reachable(host: str, addresses: Sequence[Any]) -> str:
    """Where to reach an exporter: one that listens on every address is reached by one of them.

    >>> reachable("0.0.0.0", ["2001:db8::5", "192.0.2.5"]), reachable("::", ["2001:db8::5", "192.0.2.5"])
    ('192.0.2.5', '2001:db8::5')
    >>> reachable("10.0.0.7", ["192.0.2.5"]), reachable("0.0.0.0", [])
    ('10.0.0.7', '0.0.0.0')
    """
    try:
        listening = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not listening.is_unspecified:
        return host
    known = list(_addresses(addresses))
    same = [address for address in known if address.version == listening.version]
    # Who listens on all of IPv6 usually listens on IPv4, too.
    usable = same or (known if listening.version == 6 else [])
    return str(usable[0]) if usable else host


def _is_link_local(host: str) -> bool:
    """Whether it is on Prometheus's own link, where clouds have their metadata services."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_link_local


def _addresses(texts: Iterable[Any]) -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    for text in texts:
        try:
            yield ipaddress.ip_address(str(text))
        except ValueError:
            continue


def _label_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
