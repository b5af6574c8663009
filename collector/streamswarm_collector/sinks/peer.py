"""How an InfluxDB or a VictoriaMetrics is written to; the differences between their versions are here only."""

import gzip
from typing import Final

import httpx

from streamswarm_collector.settings import InfluxSinkSettings
from streamswarm_core.closing import Closing
from streamswarm_core.outbound import trusted

_SECONDS: Final = 15.0
_RETRYABLE: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Answers that a correction at the other end can turn into success; the points wait for it."""


class Peer(Closing):
    """A store at the other end of a sink. For one thread.

    Args:
        settings: where it is and how it is spoken to.
    """

    def __init__(self, settings: InfluxSinkSettings) -> None:
        self._settings = settings
        self._client = httpx.Client(base_url=str(settings.url), timeout=_SECONDS, verify=trusted())

    def write(self, database: str, lines: bytes) -> httpx.Response:
        """Send line protocol with nanosecond times.

        Raises:
            httpx.HTTPError: the peer could not be reached, or did not answer.
        """
        token = self._settings.token.get_secret_value()
        content, headers = gzip.compress(lines, compresslevel=1, mtime=0), {"Content-Encoding": "gzip"}
        if self._settings.api == "v1":
            user, _, password = token.partition(":")
            auth = httpx.BasicAuth(user, password) if token else httpx.USE_CLIENT_DEFAULT
            name, _, policy = database.partition("/")
            parameters = {"db": name, "precision": "ns", **({"rp": policy} if policy else {})}
            return self._client.post("/write", params=parameters, content=content, headers=headers, auth=auth)
        return self._client.post(
            "/api/v2/write",
            params={"org": self._settings.org, "bucket": database, "precision": "ns"},
            content=content,
            headers=headers | ({"Authorization": f"Token {token}"} if token else {}),
        )

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()


def is_final(answer: httpx.Response) -> bool:
    """Whether the same lines would be refused again."""
    return 400 <= answer.status_code < 500 and answer.status_code not in _RETRYABLE


def is_partial(answer: httpx.Response) -> bool:
    """Whether the peer kept the lines that it did not complain about, as InfluxDB 1.x, 2.x and 3.x do."""
    return "partial write" in answer.text
