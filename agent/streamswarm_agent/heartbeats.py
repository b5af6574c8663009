"""The agent's sign of life, and what it is told with the answer."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from streamswarm_agent.clockoffset import ClockOffset, Reading
from streamswarm_agent.controlplane import ControlPlane, HeartbeatReply
from streamswarm_agent.enrol import Credential, host_facts
from streamswarm_agent.exporter import exporter_url
from streamswarm_agent.host.addresses import read_addresses
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.settings import AgentSettings
from streamswarm_core import __version__
from streamswarm_core.errors import Refused, Unavailable

log = logging.getLogger(__name__)


class Heartbeats:
    """Sends heartbeats.

    Args:
        controlplane: where they go.
        credential: who the agent was when it enrolled.
        settings: the agent's settings.
        state: what changes from one to the next: assignments_version, queued_points.
        places: gets to know where the agent's site is.
    """

    def __init__(
        self,
        controlplane: ControlPlane,
        credential: Credential,
        settings: AgentSettings,
        state: Callable[[], dict[str, int]],
        places: PlaceNames,
    ) -> None:
        self._controlplane = controlplane
        self._settings = settings
        self._state = state
        self._places = places
        self._started_at = datetime.now(UTC)
        self._clock = ClockOffset()
        self._named: tuple[str, str | None] = (credential.name, credential.site)
        self._facts: dict[str, str] | None = host_facts()
        self.restart_wanted = False

    @property
    def clock(self) -> Reading | None:
        """How far the control plane's clock is from this one; None before the first exchange."""
        return self._clock.read(time.monotonic())

    async def send_forever(self) -> None:
        """Until the control plane wants a restart."""
        while not self.restart_wanted:
            try:
                reply, exchange = await self._controlplane.heartbeat(self._body())
            except (Unavailable, Refused) as error:
                log.debug("no heartbeat: %s", error)
            else:
                self._clock.add(exchange)
                self._take(reply)
            if not self.restart_wanted:
                await asyncio.sleep(self._settings.heartbeat_seconds)

    def _body(self) -> dict[str, Any]:
        clock = self.clock
        return {
            "version": __version__,
            "started_at": self._started_at.isoformat(),
            **self._state(),
            "exporter_url": exporter_url(self._settings.host, self._settings.port),
            **_addresses(),
            "budget": {
                "packets_per_second": self._settings.budget_packets_per_second,
                "bits_per_second": self._settings.budget_bits_per_second,
            },
            **({"host": self._facts} if self._facts else {}),
            **({"clock": asdict(clock)} if clock else {}),
        }

    def _take(self, reply: HeartbeatReply) -> None:
        self._facts = None  # they arrived
        self._places.here = reply.coordinates
        if reply.name is not None and (reply.name, reply.site) != self._named:
            log.info("this is agent %s, site %s, from now on", reply.name, reply.site or "–")
            self._named = (reply.name, reply.site)
            self._controlplane.reject_token()
            # Until the next heartbeat points may bear the old site's name, so they must not bear the new one's place.
            self._places.here = None
        if reply.restart:
            log.info("the control plane wants a restart")
            self.restart_wanted = True


def _addresses() -> dict[str, list[str]]:
    """Nothing where the host can't say, because its file descriptors are used up: a sign of life is still due."""
    try:
        return {"addresses": read_addresses()}
    except OSError as error:
        log.warning("this host's addresses can't be read: %s", error.strerror)
        return {}
