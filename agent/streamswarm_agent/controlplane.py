"""The agent's side of the control plane's API."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from streamswarm_agent.clockoffset import Exchange
from streamswarm_agent.enrol import Credential
from streamswarm_core.assignment import AssignmentSet, RunReport, RunReports
from streamswarm_core.errors import ConfigError, Refused, Unavailable

log = logging.getLogger(__name__)

_RENEW_AT_SHARE: Final = 0.5


class HeartbeatReply(BaseModel):
    """What the control plane says to a heartbeat; an older one says less."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: AwareDatetime
    received_at: AwareDatetime | None = None
    name: str | None = None
    site: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    restart: bool = False

    @property
    def coordinates(self) -> tuple[float, float] | None:
        """Where the agent's site is: latitude and longitude, degrees; None where it isn't known."""
        return (self.latitude, self.longitude) if self.latitude is not None and self.longitude is not None else None


class ControlPlane:
    """Asks for access tokens and assignments, and sends heartbeats.

    Args:
        credential: who the agent is.
        url: base URL of the control plane.
        client: the HTTP client to use.
        keep: writes a changed credential down, durably.
    """

    def __init__(
        self,
        credential: Credential,
        url: str,
        client: httpx.AsyncClient,
        keep: Callable[[Credential], None] = lambda _credential: None,
    ) -> None:
        self._credential = credential
        self._keep = keep
        self._api = f"{url}/api/v1/agent"
        self._client = client
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    @property
    def current_token(self) -> str:
        """The newest access token; may have expired while the control plane is away."""
        return self._token

    def reject_token(self) -> None:
        """Ask for another token at the next opportunity: somebody didn't take this one."""
        self._renew_at = 0.0

    async def access_token(self) -> str:
        """An access token with at least half of its life left.

        Raises:
            Unavailable: the control plane can't be reached.
            Refused: it doesn't know this agent any more.
        """
        async with self._renewing:
            if time.monotonic() >= self._renew_at:
                issued = await self._exchange()
                if issued.get("rotate_secret"):
                    issued = await self._rotate(issued)
                self._token = issued["access_token"]
                self._renew_at = time.monotonic() + float(issued["expires_in"]) * _RENEW_AT_SHARE
            return self._token

    async def _exchange(self) -> dict[str, Any]:
        """An access token for the secret; a new secret is tried first, and is the only one once it has been taken."""
        upcoming = self._credential.next_secret
        if upcoming is not None:
            try:
                issued = await self._ask_token(upcoming)
            except Refused as error:
                # It was never used within its time, or was replaced: the old one is still good.
                log.warning("the new secret isn't taken, going on with the old one: %s", error)
                issued = await self._ask_token(self._credential.secret)
                self._change({"next_secret": None})
            else:
                self._change({"secret": upcoming, "next_secret": None})
                log.info("the agent's secret was changed")
            return issued
        return await self._ask_token(self._credential.secret)

    async def _ask_token(self, secret: SecretStr) -> dict[str, Any]:
        body = {"agent_id": self._credential.agent_id, "secret": secret.get_secret_value()}
        answer = await self._send("POST", "/token", json=body)
        issued: dict[str, Any] = answer.json()
        return issued

    async def _rotate(self, issued: dict[str, Any]) -> dict[str, Any]:
        """Change the secret: the new one is on the disk before it is used. What fails is tried with the next token."""
        try:
            secret = self._credential.secret.get_secret_value()
            answer = await self._send("POST", "/secret", json={"agent_id": self._credential.agent_id, "secret": secret})
            self._change({"next_secret": SecretStr(answer.json()["secret"])})
            return await self._exchange()
        except (Unavailable, Refused, ConfigError) as error:
            log.warning("the agent's secret wasn't changed, trying again later: %s", error)
            return issued

    def _change(self, values: dict[str, SecretStr | None]) -> None:
        changed = self._credential.model_copy(update=values)
        self._keep(changed)
        self._credential = changed

    async def assignments(self, etag: str) -> AssignmentSet | None:
        """The agent's assignments, or None if they are still those with this entity tag.

        Raises:
            Unavailable: the control plane can't be reached, or its answer makes no sense.
            Refused: it doesn't know this agent any more.
        """
        answer = await self._send("GET", "/assignments", headers={"If-None-Match": etag}, authorised=True)
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return None
        try:
            return AssignmentSet.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unavailable(f"{self._api}/assignments: {error.errors()[0]['msg']}") from None

    async def heartbeat(self, body: dict[str, Any]) -> tuple[HeartbeatReply, Exchange]:
        """Send a sign of life, with the time at which it leaves; returns the answer and what it says of the clocks.

        Raises:
            Unavailable: the control plane can't be reached, or its answer makes no sense.
            Refused: it doesn't know this agent any more.
        """
        # Asked for beforehand: a new token would count as time on the way.
        await self.access_token()
        sent, begun = datetime.now(UTC), time.monotonic()
        answer = await self._send("POST", "/heartbeat", json={**body, "sent_at": sent.isoformat()}, authorised=True)
        ended = time.monotonic()
        try:
            reply = HeartbeatReply.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unavailable(f"{self._api}/heartbeat: {error.errors()[0]['msg']}") from None
        return reply, Exchange(sent, begun, reply.received_at or reply.time, reply.time, ended)

    async def report_runs(self, reports: list[RunReport]) -> None:
        """Say what has become of runs.

        Raises:
            Unavailable: the control plane can't be reached.
            Refused: it doesn't know this agent any more, or nothing of run records.
        """
        body = RunReports(runs=reports).model_dump_json()
        headers = {"Content-Type": "application/json"}
        await self._send("POST", "/runs", content=body, headers=headers, authorised=True)

    async def _send(self, method: str, path: str, *, authorised: bool = False, **request: Any) -> httpx.Response:
        headers = dict(request.pop("headers", {}))
        if authorised:
            headers["Authorization"] = f"Bearer {await self.access_token()}"
        try:
            answer = await self._client.request(method, self._api + path, headers=headers, **request)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._api}{path}: {error or type(error).__name__}") from None
        if answer.status_code in {401, 403}:
            self.reject_token()
        if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Unavailable(f"{self._api}{path}: HTTP {answer.status_code}")
        if answer.status_code >= 400:
            raise Refused(f"{self._api}{path}: {answer.text[:200]}", status=answer.status_code)
        return answer
