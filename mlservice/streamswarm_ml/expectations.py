"""What operators expect: asked of the control plane now and then, kept for when it is away."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
from pydantic import ValidationError

from streamswarm_core.expectations import Expectations
from streamswarm_core.ownfiles import write_whole

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 10.0


class ExpectationsClient:
    """The control plane's expectations, at most a minute old while it answers; from any thread.

    While it is away the last ones stay in force, over a restart too: they are kept in a file.

    Args:
        controlplane_url: base URL.
        token: the service's own, a static one that may read.
        cache: file that keeps them.
        client: for requests to the control plane.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        controlplane_url: str,
        token: Callable[[], str],
        cache: Path,
        client: httpx.Client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = controlplane_url.rstrip("/") + "/api/v1/expectations"
        self._token = token
        self._cache = cache
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._etag = ""
        self._known = self._cached()
        self.error = ""
        """Why they couldn't be asked for the last time; empty if they could."""

    def __call__(self) -> Expectations:
        """What is expected now."""
        with self._lock:
            if self._clock() >= self._next:
                self._refresh()
            return self._known

    def _refresh(self) -> None:
        before, self.error = self.error, ""
        try:
            self._ask()
        except httpx.HTTPError as error:
            self.error = f"the control plane can't be asked for expectations: {error}"
        except (ValidationError, ValueError) as error:
            self.error = f"{self._url} answers something else: {str(error).splitlines()[0]}"
        except OSError as error:
            self.error = f"{self._cache}: {error.strerror}"
        if self.error and self.error != before:
            log.warning("%s; the last ones stay in force", self.error)
        self._next = self._clock() + (_RETRY_SECONDS if self.error else _FRESH_SECONDS)

    def _ask(self) -> None:
        headers = {"Authorization": f"Bearer {self._token()}", "If-None-Match": self._etag}
        answer = self._client.get(self._url, headers=headers)
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return
        answer.raise_for_status()
        self._known = Expectations.model_validate_json(answer.content)
        self._etag = answer.headers.get("ETag", "")
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._cache, answer.content)

    def _cached(self) -> Expectations:
        try:
            return Expectations.model_validate_json(self._cache.read_bytes())
        except (OSError, ValueError):
            return Expectations()
