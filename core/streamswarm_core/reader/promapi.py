"""The Prometheus HTTP API, as Prometheus, Mimir and VictoriaMetrics answer it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx

from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.outbound import patience, trusted

_ALWAYS: Final = {
    # VictoriaMetrics: no moving of times for its cache's sake, and an error instead of half an answer of a cluster.
    "nocache": "1",
    "deny_partial_response": "1",
}

# VictoriaMetrics repeats older values in the last 30 s before now in answers to range queries (-search.latencyOffset),
# not in those to instant ones. Asking from a day before for a day ahead (a negative offset) gets the true ones.
AHEAD_MS: Final = 86_400_000

Samples = list[tuple[int, float]]
"""Milliseconds since the epoch, value; in order of time."""


class PromApi:
    """Asks and reads answers; safe to share between threads.

    Args:
        url: base URL, to which `/api/v1/…` is added.
        token: gives the current bearer token; asked before each request. An empty token sends none.
        tenant: sent as X-Scope-OrgID if not empty.
        timeout: seconds for one answer.
        client: an HTTP client to use instead of an own one.
    """

    def __init__(
        self, url: str, token: Callable[[], str], *, tenant: str = "", timeout: float, client: httpx.Client | None
    ) -> None:
        self._url = url.rstrip("/") + "/api/v1/"
        self._token = token
        self._tenant = tenant
        self._client = client or httpx.Client(timeout=patience(timeout), verify=trusted())
        self._closed_ranges: bool | None = None

    def instant(self, query: str, time_ms: int) -> Iterator[tuple[dict[str, str], Samples]]:
        """Evaluate at one moment: labels and samples of each series."""
        answer = self._ask("query", {"query": query, "time": _seconds(time_ms)})
        for one in answer["result"]:
            yield one["metric"], _samples(one.get("values") or [one["value"]])

    def range(self, query: str, first_ms: int, last_ms: int, step_ms: int) -> Iterator[tuple[dict[str, str], Samples]]:
        """Evaluate at each step: labels and samples of each series."""
        parameters = {
            "query": query,
            "start": _seconds(first_ms),
            "end": _seconds(last_ms),
            "step": f"{step_ms}ms",
        }
        for one in self._ask("query_range", parameters)["result"]:
            yield one["metric"], _samples(one["values"])

    def series(self, selector: str, start_ms: int, stop_ms: int) -> list[dict[str, str]]:
        """Labels of the series that the index has from start to stop, both included."""
        parameters = {"match[]": selector, "start": _seconds(start_ms), "end": _seconds(stop_ms)}
        found: list[dict[str, str]] = self._ask("series", parameters)
        return found

    def metric_names(self, stop_ms: int) -> list[str]:
        """Names of all metrics up to a time."""
        # The first second is named because VictoriaMetrics looks at the last day only if no time is given.
        names: list[str] = self._ask("label/__name__/values", {"start": "0", "end": _seconds(stop_ms)}, method="GET")
        return names

    @property
    def closed_ranges(self) -> bool:
        """Whether range selectors hold their left end, as in Prometheus before 3.0 (asked once).

        A subquery over a constant tells: of the seconds 8, 9 and 10, `[2s:1s]` at 10 holds two or three.
        """
        if self._closed_ranges is None:
            answer = list(self.instant("count_over_time(vector(0)[2s:1s])", 1_700_000_000_000))
            self._closed_ranges = bool(answer) and answer[0][1] == [(1_700_000_000_000, 3.0)]
        return self._closed_ranges

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def _ask(self, path: str, parameters: Mapping[str, str], *, method: str = "POST") -> Any:
        url = self._url + path
        sent = {**_ALWAYS, **parameters}
        try:
            if method == "GET":
                response = self._client.get(url, params=sent, headers=self._headers())
            else:
                response = self._client.post(url, data=sent, headers=self._headers())
        except httpx.HTTPError as error:
            # Another version may run when it is back.
            self._closed_ranges = None
            raise Unavailable(f"{url}: {str(error) or type(error).__name__}") from None
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable(f"{url}: HTTP {response.status_code}: {_message(response)}")
        if response.status_code != 200:
            raise Refused(f"{url}: HTTP {response.status_code}: {_message(response)}", status=response.status_code)
        try:
            return response.json()["data"]
        except (ValueError, KeyError, TypeError):
            raise Refused(
                f"{url}: not an answer of the Prometheus API: {response.text[:200]}", status=response.status_code
            ) from None

    def _headers(self) -> dict[str, str]:
        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return headers | ({"X-Scope-OrgID": self._tenant} if self._tenant else {})


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _samples(values: list[tuple[float, str]]) -> Samples:
    return [(round(seconds * 1000), float(value)) for seconds, value in values]


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
