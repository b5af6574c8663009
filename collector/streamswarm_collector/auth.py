"""Who may write and read: access tokens are verified here, static ones by asking the control plane.

The control plane may be away. Its keys are kept on disk, and the last answer for a static token stays good until the
control plane gives another, so no write is lost to an outage of the control plane.
"""

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from streamswarm_core.errors import ScopeError, TokenError, Unavailable
from streamswarm_core.publishedkeys import PublishedKeys
from streamswarm_core.secret import hash_secret
from streamswarm_core.tokens import Scope

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 5.0
_REVOCATION_POLL_SECONDS: Final = 5.0
_MOST_CACHED_TOKENS: Final = 10_000
_LONGEST_TOKEN: Final = 512
"""Of one that is introspected, as the control plane takes it."""
_MOST_STRANGERS: Final = 256
"""Unknown tokens that the control plane is asked about at the same time: anybody can make some up."""


class Bearer(BaseModel):
    """Whoever presents a token.

    Attributes:
        sub: id of the agent or token.
        name: the `agent` tag, for agents.
        site: the `site` tag, for agents.
        scopes: what it may do.
    """

    model_config = ConfigDict(frozen=True)

    sub: str
    name: str = ""
    site: str = ""
    scopes: frozenset[Scope]

    def stamp(self) -> Mapping[str, str]:
        """The tags that its points get whatever it sent."""
        return {"agent": self.name, "site": self.site} if Scope.AGENT in self.scopes else {}

    @property
    def writer(self) -> str:
        """By what its series are counted: an agent's name, or the id of a token."""
        if Scope.AGENT in self.scopes:
            return self.name
        return self.sub if self is ANYBODY else f"token {self.sub}"


ANYBODY: Final = Bearer(sub="anybody", scopes=frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}))


def presented_token(request: Request, form: Mapping[str, str] | None = None) -> str:
    """The token of a request: `Authorization: Token|Bearer`, basic auth's password, or the parameter `p`."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in {"token", "bearer"}:
        # The 1.x compatibility API of InfluxDB 2.x takes "user:password" here, too.
        return value.strip().rpartition(":")[2]
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            return base64.b64decode(value).decode().partition(":")[2]
    return request.query_params.get("p") or (form or {}).get("p", "")


class Authenticator:
    """Checks tokens.

    Args:
        controlplane_url: base URL of the control plane.
        token_path: file with the collector's own token, for introspection.
        cache_folder: keeps the published keys.
        client: for requests to the control plane.
        whole: seconds for one of them.
    """

    def __init__(
        self,
        controlplane_url: str,
        token_path: Path,
        cache_folder: Path,
        client: httpx.AsyncClient,
        *,
        whole: float = 10.0,
    ) -> None:
        self._whole = whole
        self._api = controlplane_url.rstrip("/") + "/api/v1"
        self._token_path = token_path
        self._client = client
        self._keys = PublishedKeys(cache_folder / "keys.json")
        self._keys_lock = asyncio.Lock()
        self._revoked: frozenset[str] = frozenset()
        self._revocations_etag = ""
        self._static: dict[str, tuple[float, Bearer]] = {}
        self._unknown: dict[str, float] = {}
        self._strangers = 0

    async def check(self, token: str, scope: Scope) -> Bearer:
        """Return who presents the token.

        Raises:
            TokenError: no such bearer.
            ScopeError: the bearer may not do this.
            Unavailable: the token has to be introspected and the control plane can't be reached.
        """
        if not token:
            raise TokenError("a token is needed: Authorization: Token …")
        bearer = await (self._signed(token) if token.count(".") == 2 else self._introspected(token))
        if bearer.sub in self._revoked:
            raise TokenError("this token has been revoked")
        if scope not in bearer.scopes:
            raise ScopeError(f"this token may not {scope}; it may {', '.join(sorted(bearer.scopes)) or 'nothing'}")
        return bearer

    async def poll_revocations(self) -> None:
        """Keep the list of revoked ids up to date, until cancelled."""
        while True:
            # Whatever a portal or a proxy answers in the control plane's stead, the list stays as it was.
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
                answer = await self._ask("GET", "revocations", headers={"If-None-Match": self._revocations_etag})
                if answer.status_code == httpx.codes.OK:
                    self._revoked = frozenset(answer.json()["revoked"])
                    self._revocations_etag = answer.headers.get("ETag", "")
            await asyncio.sleep(_REVOCATION_POLL_SECONDS)

    async def _signed(self, token: str) -> Bearer:
        if not self._keys.know(token):
            async with self._keys_lock:
                if self._keys.are_due():
                    await self._fetch_keys()
        claims = self._keys.verify(token)
        return Bearer(sub=claims.sub, name=claims.name, site=claims.site, scopes=claims.scopes)

    async def _introspected(self, token: str) -> Bearer:
        """Who a static token is of. What was good is kept apart, so tokens that are made up push none of it out."""
        if len(token) > _LONGEST_TOKEN:
            raise _unknown()
        key = hash_secret(token)
        asked, bearer = self._static.get(key, (float("-inf"), None))
        if bearer is None and time.monotonic() - self._unknown.get(key, float("-inf")) <= _FRESH_SECONDS:
            raise _unknown()
        if time.monotonic() - asked > _FRESH_SECONDS:
            try:
                bearer = await (self._introspect(token) if bearer else self._introspect_stranger(token))
            except Unavailable:
                if bearer is None:
                    raise
            else:
                self._remember(key, bearer)
        if bearer is None:
            raise _unknown()
        return bearer

    def _remember(self, key: str, bearer: Bearer | None) -> None:
        for known in (self._static, self._unknown):
            if len(known) >= _MOST_CACHED_TOKENS:
                known.clear()
        if bearer is None:
            self._static.pop(key, None)
            self._unknown[key] = time.monotonic()
        else:
            self._unknown.pop(key, None)
            self._static[key] = (time.monotonic(), bearer)

    async def _introspect_stranger(self, token: str) -> Bearer | None:
        if self._strangers >= _MOST_STRANGERS:
            raise Unavailable("too many unknown tokens are being asked about; try again in a moment")
        self._strangers += 1
        try:
            return await self._introspect(token)
        finally:
            self._strangers -= 1

    async def _introspect(self, token: str) -> Bearer | None:
        try:
            own = self._token_path.read_text(encoding="ascii").strip()
            answer = await self._ask(
                "POST", "tokens/introspect", json={"token": token}, headers={"Authorization": f"Bearer {own}"}
            )
            answer.raise_for_status()
            found = answer.json()
            return Bearer.model_validate(found) if found.get("active") else None
        except OSError as error:
            raise Unavailable(f"the collector's own token can't be read: {error}") from None
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"the control plane can't say whether the token is good: {reason}") from None

    async def _fetch_keys(self) -> None:
        try:
            answer = await self._ask("GET", "keys")
            answer.raise_for_status()
            self._keys.take(answer.json())
        except (httpx.HTTPError, ValueError) as error:
            log.warning("the control plane's keys can't be fetched: %s", error)

    async def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask the control plane; the client's own bound is for each piece, and a byte a second is never late.

        Raises:
            httpx.HTTPError: it can't be reached, or is too slow.
        """
        try:
            return await asyncio.wait_for(self._client.request(method, f"{self._api}/{path}", **request), self._whole)
        except TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {self._whole:g} s") from None


def _unknown() -> TokenError:
    return TokenError("unknown, expired or revoked token")
