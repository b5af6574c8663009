"""The agent's side of the control plane's API."""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any, Final

import httpx
from pydantic import ValidationError

from streamswarm_agent.enrol import Credential
from streamswarm_core.assignment import AssignmentSet
from streamswarm_core.errors import Refused, Unavailable

log = logging.getLogger(__name__)

_RENEW_AT_SHARE: Final = 0.5


class ControlPlane:
    """Asks for access tokens and assignments, and sends heartbeats.

    Args:
        credential: who the agent is.
        url: base URL of the control plane.
        client: the HTTP client to use.
    """

    def __init__(self, credential: Credential, url: str, client: httpx.AsyncClient) -> None:
        self._credential = credential
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
                secret = self._credential.secret.get_secret_value()
                body = {"agent_id": self._credential.agent_id, "secret": secret}
                answer = await self._send("POST", "/token", json=body)
                issued = answer.json()
                self._token = issued["access_token"]
                self._renew_at = time.monotonic() + float(issued["expires_in"]) * _RENEW_AT_SHARE
            return self._token

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

    async def heartbeat(self, body: dict[str, Any]) -> tuple[datetime, int]:
        """Send a sign of life; returns the control plane's time and the newest assignments' version.

        Raises:
            Unavailable: the control plane can't be reached.
            Refused: it doesn't know this agent any more.
        """
        answer = await self._send("POST", "/heartbeat", json=body, authorised=True)
        reply = answer.json()
        return datetime.fromisoformat(reply["time"]), int(reply["assignments_version"])

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
