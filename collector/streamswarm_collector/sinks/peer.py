"""How an InfluxDB or a VictoriaMetrics is written to; the differences between their versions are here only."""

import gzip
from typing import Any, Final

import httpx

from streamswarm_collector.settings import InfluxSinkSettings
from streamswarm_core.closing import Closing
from streamswarm_core.outbound import patience, trusted
from streamswarm_core.wholeexchange import within

_SECONDS: Final = 15.0
_SLOWEST_LINK: Final = 10_000.0
"""Bytes a second; what is sent gets as much more time as it takes then."""
_RETRYABLE: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Answers that a correction at the other end can turn into success; the points wait for it."""


class Peer(Closing):
    """A store at the other end of a sink. For one thread.

    Args:
        settings: where it is and how it is spoken to.
        whole: seconds for one write, and more for a long one.
    """

    def __init__(self, settings: InfluxSinkSettings, *, whole: float = 30.0) -> None:
        self._settings = settings
        self._whole = whole
        self._connection: Any = None
        self._client = httpx.Client(base_url=str(settings.url), timeout=patience(_SECONDS), verify=trusted())

    def write(self, database: str, lines: bytes) -> httpx.Response:
        """Send line protocol with nanosecond times.

        Raises:
            httpx.HTTPError: the peer could not be reached, or did not answer in time.
        """
        token = self._settings.token.get_secret_value()
        content, headers = gzip.compress(lines, compresslevel=1, mtime=0), {"Content-Encoding": "gzip"}
        # The client's own bound is for each piece, and a byte a second is never late.
        try:
            with within(self._whole + len(content) / _SLOWEST_LINK, self._connected):
                return self._post(database, token, content, headers)
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from None

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def _post(self, database: str, token: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        watched = {"trace": self._watch}
        if self._settings.api == "v1":
            user, _, password = token.partition(":")
            auth = httpx.BasicAuth(user, password) if token else httpx.USE_CLIENT_DEFAULT
            name, _, policy = database.partition("/")
            parameters = {"db": name, "precision": "ns", **({"rp": policy} if policy else {})}
            return self._client.post(
                "/write", params=parameters, content=content, headers=headers, auth=auth, extensions=watched
            )
        return self._client.post(
            "/api/v2/write",
            params={"org": self._settings.org, "bucket": database, "precision": "ns"},
            content=content,
            headers=headers | ({"Authorization": f"Token {token}"} if token else {}),
            extensions=watched,
        )

    def _watch(self, event: str, told: dict[str, Any]) -> None:
        """Remember the connection that was opened last, as httpx keeps it to itself."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._connection = told["return_value"]

    def _connected(self) -> Any:
        return self._connection and self._connection.get_extra_info("socket")


def is_final(answer: httpx.Response) -> bool:
    """Whether the same lines would be refused again."""
    return 400 <= answer.status_code < 500 and answer.status_code not in _RETRYABLE


def is_partial(answer: httpx.Response) -> bool:
    """Whether the peer kept the lines that it did not complain about, as InfluxDB 1.x, 2.x and 3.x do."""
    return "partial write" in answer.text
