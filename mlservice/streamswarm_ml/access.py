"""Who may ask and who may change: tokens of the control plane, verified offline, or the service's own."""

import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from streamswarm_core.errors import ScopeError, TokenError
from streamswarm_core.publishedkeys import PublishedKeys
from streamswarm_core.tokens import Scope

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 5.0


class Gatekeeper:
    """Checks the token of a request; call it from a thread.

    The control plane's access tokens are verified with its published keys, which are kept on disk, and held against
    its list of revocations, asked for every five seconds; while it is away the last list stays in force. The service's
    own token opens everything: who can read it can read the models' files, too. There is no request without a token,
    not even from this machine: its other users, and pages in a browser, come from there as well.

    Args:
        controlplane_url: base URL.
        own_token: the service's own.
        cache: file that keeps the published keys.
        client: for requests to the control plane.
    """

    def __init__(self, controlplane_url: str, own_token: Callable[[], str], cache: Path, client: httpx.Client) -> None:
        self._api = controlplane_url.rstrip("/") + "/api/v1"
        self._own_token = own_token
        self._client = client
        self._keys = PublishedKeys(cache)
        self._revoked_asked = float("-inf")
        self._revoked: frozenset[str] = frozenset()

    def check(self, authorization: str, scope: Scope) -> None:
        """Let a request pass.

        Args:
            authorization: the header's value.
            scope: what it takes.

        Raises:
            TokenError: no token, or a bad one.
            ScopeError: one that may not do this.
        """
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() not in {"bearer", "token"} or not token:
            raise TokenError("a token is needed: Authorization: Bearer …")
        own = self._own_token()
        if own and hmac.compare_digest(token.encode(), own.encode()):
            return
        if token.count(".") != 2:
            raise TokenError("unknown token; take an access token of the control plane, or the ML service's own")
        if not self._keys.know(token) and self._keys.are_due():
            published = self._get("keys")
            if published is not None:
                self._keys.take(published)
        claims = self._keys.verify(token)
        self._fetch_revocations()
        if claims.sub in self._revoked:
            raise TokenError("this token has been revoked")
        # An agent may write what it measures, which says nothing of how right the models are.
        if Scope.AGENT in claims.scopes or scope not in claims.scopes:
            raise ScopeError(f"this token may not {scope} here")

    def _fetch_revocations(self) -> None:
        if time.monotonic() - self._revoked_asked < _FRESH_SECONDS:
            return
        self._revoked_asked = time.monotonic()
        found = self._get("revocations")
        if found is not None:
            self._revoked = frozenset(map(str, found.get("revoked", ())))

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer = self._client.get(f"{self._api}/{path}")
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            log.warning("the control plane can't be asked for %s: %s", path, error)
            return None
        return found if isinstance(found, dict) else None
