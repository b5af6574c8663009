"""Sends line protocol to `/api/v2/write` with InfluxDB's own client package."""

import gzip
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from streamswarm_core.closing import Closing
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.outbound import CONNECT_SECONDS, trusted
from streamswarm_core.proxies import proxy_for
from streamswarm_core.wholeexchange import WholeExchange
from streamswarm_core.without import without

# The client takes numpy along for data frames, which nobody writes here: 15 MB of an agent's memory.
with without("numpy"):
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.rest import ApiException
    from influxdb_client.service.write_service import WriteService

# An InfluxDB 2.x has to have an organisation of this name; a collector has none.
_ORG: Final = "streamswarm"

# What the same bytes may be sent again for: overload, gateways, and a token that is being renewed.
_RETRYABLE = frozenset({408, 425, 429})

_ABOUT_LINES = frozenset({400, 422})

# The client would compress at level 9: 8 % smaller, for six times the CPU, which is a fifth of what a ping costs.
_COMPRESSION_LEVEL: Final = 1

_SLOWEST_LINK: Final = 1000.0
"""Bytes a second; what is sent gets as much more time as it takes then."""
_LONGEST_WAIT: Final = 300.0
"""Seconds; who asks for more is asked again all the same."""


class LineWriter(Closing):
    """A blocking writer; call it from a thread.

    Args:
        url: base URL of a collector or of an InfluxDB 2.x or 3.x.
        token: gives the current token; asked before each write, because access tokens are short-lived.
        bucket: where to write.
        timeout: seconds without a sign of the peer.
        whole: seconds for one write, and more for a long one.
    """

    def __init__(
        self, url: str, token: Callable[[], str], *, bucket: str, timeout: float = 10.0, whole: float = 30.0
    ) -> None:
        self._url = url
        self._token = token
        self._bucket = bucket
        self._timeouts_ms = tuple(int(seconds * 1000) for seconds in (min(timeout, CONNECT_SECONDS), timeout))
        self._whole = whole
        self._connection: tuple[InfluxDBClient, WholeExchange] | None = None
        self._client_token = ""

    def write(self, lines: bytes) -> None:
        """Write lines with nanosecond times; returns once the peer has made them durable.

        Raises:
            Unavailable: not reached or overloaded; send the same lines again later.
            Refused: the peer will never take them as they are (for status 401 and 403: not with this token).
        """
        if not lines:
            return
        try:
            client, exchange = self._connected(self._token())
            service: Any = WriteService(client.api_client)
            body = gzip.compress(lines, _COMPRESSION_LEVEL)
            with exchange.within(self._whole + len(body) / _SLOWEST_LINK):
                _, status, headers = service.post_write_with_http_info(
                    _ORG,
                    self._bucket,
                    body,
                    precision="ns",
                    content_encoding="gzip",
                    _return_http_data_only=False,
                )
        except ApiException as error:
            status = int(error.status or 0)
            # Without a status it is TLS that failed, and the message says only that there is no response.
            said = error.message if status else (error.reason or "").replace("\n", ": ")
            message = f"{self._url}: {said or error.reason or status}"
            if status in _RETRYABLE or status >= 500 or status == 0:
                raise Unavailable(message, retry_after=_retry_after(error)) from None
            if status in _ABOUT_LINES and _media_type(error) == "text/html":
                # A web server's own page, such as for HTTP at a port of HTTPS, says nothing of the lines.
                raise Unavailable(f"{message}: a web page; is there a proxy or portal between?") from None
            raise Refused(message, status=status) from None
        except (HTTPError, OSError) as error:
            raise Unavailable(f"{self._url}: {error}") from None
        if status != HTTPStatus.NO_CONTENT:
            # Every server that takes line protocol says 204; a page of HTTP 200 is a hotspot's or a proxy's.
            kind = headers.get("Content-Type", "no content type")
            raise Unavailable(
                f"{self._url}: HTTP {status} ({kind}) instead of 204; is there a proxy or portal between?"
            )

    def close(self) -> None:
        """Drop the connections."""
        if self._connection is not None:
            self._connection[0].close()
            self._connection = None

    def _connected(self, token: str) -> tuple[InfluxDBClient, WholeExchange]:
        if self._connection is None or token != self._client_token:
            self.close()
            proxy = proxy_for(self._url)
            client = InfluxDBClient(
                self._url,
                token=token,
                org=_ORG,
                timeout=self._timeouts_ms,
                retries=False,
                ssl_context=trusted() if self._url.startswith("https:") else None,
                proxy=proxy,
                proxy_headers=_login(proxy) if proxy else None,
            )
            self._connection = client, WholeExchange(client.api_client.rest_client.pool_manager, self._url)
            self._client_token = token
        return self._connection


def _login(proxy: str) -> dict[str, str]:
    """What a proxy is told of who asks, by the user and password in its URL."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    return make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")


def _media_type(error: ApiException) -> str:
    headers: Mapping[str, str] = error.headers or {}
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _retry_after(error: ApiException) -> float | None:
    headers: Mapping[str, str] = error.headers or {}
    try:
        seconds = float(headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return min(seconds, _LONGEST_WAIT) if seconds >= 0 else None
