"""The agent's side of the control plane's API."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from streamswarm_agent.clockoffset import Exchange
from streamswarm_agent.enrol import Credential
from streamswarm_core import problem
from streamswarm_core.assignment import AssignmentSet, RunReport, RunReports
from streamswarm_core.errors import ConfigError, Refused, Unavailable

log = logging.getLogger(__name__)

_RENEW_AT_SHARE: Final = 0.5
_WHOLE_SECONDS: Final = 30.0


class _Answer(BaseModel):
    """What the control plane says; a newer one may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Answer = TypeVar("Answer", bound=BaseModel)


class _IssuedToken(_Answer):
    access_token: str = Field(min_length=1)
    expires_in: float = Field(gt=0, allow_inf_nan=False)
    rotate_secret: bool = False


class _IssuedSecret(_Answer):
    secret: SecretStr = Field(min_length=1)


class _RunsTaken(_Answer):
    taken: int


class HeartbeatReply(_Answer):
    """What the control plane says to a heartbeat; an older one says less."""

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
                if issued.rotate_secret:
                    issued = await self._rotate(issued)
                self._token = issued.access_token
                self._renew_at = time.monotonic() + issued.expires_in * _RENEW_AT_SHARE
            return self._token

    async def _exchange(self) -> _IssuedToken:
        """An access token for the secret; a new secret is tried first, and is the only one once it has been taken."""
        upcoming = self._credential.next_secret
        if upcoming is not None:
            try:
                issued = await self._ask_token(upcoming)
            except Refused as error:
                # It was never used within its time, or was replaced: the old one is still good.
                log.warning("the new secret isn't taken, going on with the old one: %s", error)
                issued = await self._ask_token(self._credential.secret)
                self._settle({"next_secret": None})
            else:
                self._settle({"secret": upcoming, "next_secret": None})
                log.info("the agent's secret was changed")
            return issued
        return await self._ask_token(self._credential.secret)

    async def _ask_token(self, secret: SecretStr) -> _IssuedToken:
        body = {"agent_id": self._credential.agent_id, "secret": secret.get_secret_value()}
        return _read(_IssuedToken, await self._send("POST", "/token", json=body))

    async def _rotate(self, issued: _IssuedToken) -> _IssuedToken:
        """Change the secret: the new one is on the disk before it is used. What fails is tried with the next token."""
        try:
            secret = self._credential.secret.get_secret_value()
            answer = await self._send("POST", "/secret", json={"agent_id": self._credential.agent_id, "secret": secret})
            self._change({"next_secret": _read(_IssuedSecret, answer).secret})
            return await self._exchange()
        except (Unavailable, Refused, ConfigError) as error:
            log.warning("the agent's secret wasn't changed, trying again later: %s", error)
            return issued

    def _change(self, values: dict[str, SecretStr | None]) -> None:
        changed = self._credential.model_copy(update=values)
        self._keep(changed)
        self._credential = changed

    def _settle(self, values: dict[str, SecretStr | None]) -> None:
        """Change what the disk needn't know: the next start tries the new secret and then the old one in any case."""
        try:
            self._change(values)
        except ConfigError as error:
            log.warning("going on without the disk: %s", error)
            self._credential = self._credential.model_copy(update=values)

    async def assignments(self, etag: str) -> AssignmentSet | None:
        """The agent's assignments, or None if they are still those with this entity tag.

        Raises:
            Unavailable: the control plane can't be reached, or its answer makes no sense.
            Refused: it doesn't know this agent any more.
        """
        answer = await self._send("GET", "/assignments", headers={"If-None-Match": etag}, authorised=True)
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return None
        return _read(AssignmentSet, answer)

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
        reply = _read(HeartbeatReply, answer)
        return reply, Exchange(sent, begun, reply.received_at or reply.time, reply.time, ended)

    async def report_runs(self, reports: list[RunReport]) -> None:
        """Say what has become of runs.

        Raises:
            Unavailable: the control plane can't be reached, or its answer makes no sense.
            Refused: it doesn't know this agent any more, or nothing of run records.
        """
        body = RunReports(runs=reports).model_dump_json()
        headers = {"Content-Type": "application/json"}
        _read(_RunsTaken, await self._send("POST", "/runs", content=body, headers=headers, authorised=True))

    async def _send(self, method: str, path: str, *, authorised: bool = False, **request: Any) -> httpx.Response:
        headers = dict(request.pop("headers", {}))
        if authorised:
            headers["Authorization"] = f"Bearer {await self.access_token()}"
        try:
            # The client's own limits are for each piece of an answer.
            async with asyncio.timeout(_WHOLE_SECONDS):
                answer = await self._client.request(method, self._api + path, headers=headers, **request)
        except TimeoutError:
            raise Unavailable(f"{self._api}{path}: no whole answer within {_WHOLE_SECONDS:g} s") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._api}{path}: {str(error) or type(error).__name__}") from None
        if answer.status_code in {401, 403}:
            self.reject_token()
        if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        refusal = _refusal(answer)
        if refusal is None or answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Unavailable(f"{self._api}{path}: HTTP {answer.status_code}{_whose(answer)}")
        raise Refused(f"{self._api}{path}: {refusal[:200]}", status=answer.status_code)


def _read(model: type[Answer], answer: httpx.Response) -> Answer:
    """What the control plane has answered.

    Raises:
        Unavailable: this is nothing that a control plane says. It may be a proxy's page, or a hotspot's that wants a
            password first, so the same request may succeed later.
    """
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        # And not with what it says: that could be a secret.
        reason = _whose(answer) or f": {error.errors(include_input=False)[0]['msg']}"
        raise Unavailable(f"{answer.url}: HTTP {answer.status_code}{reason}") from None


def _refusal(answer: httpx.Response) -> str | None:
    """The control plane's words, or None if it is somebody else who answers."""
    try:
        said = problem.Problem.model_validate_json(answer.content)
    except ValidationError:
        return None
    return said.detail or said.title


def _whose(answer: httpx.Response) -> str:
    """To put behind the status of an answer that isn't the control plane's."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"application/json", problem.MEDIA_TYPE}:
        return ""
    where = f" to {answer.headers['location'][:200]}" if answer.is_redirect else ""
    return (
        f"{where} ({kind or 'no content type'}), which is not the control plane's; is there a proxy or portal between?"
    )
