"""The reader for every store that answers InfluxQL on `/query`: the embedded one and InfluxDB 1.x, 2.x and 3.x."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from streamswarm_core.closing import Closing
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.outbound import patience, trusted
from streamswarm_core.printable import one_line
from streamswarm_core.reader.select import Condition, Select, quote_identifier
from streamswarm_core.reader.series import Series

_HEALTH_SECONDS: Final = 5.0
_LONGEST_COMPLAINT: Final = 300


class InfluxQLReader(Closing):
    """A blocking reader; safe to share between threads.

    Args:
        url: base URL of the collector or store.
        database: database, or for InfluxDB 2.x/3.x what the bucket is mapped to.
        token: gives the current token; asked before each request. An empty token sends none.
        timeout: seconds for one answer.
    """

    def __init__(
        self,
        url: str,
        *,
        database: str,
        token: Callable[[], str] = lambda: "",
        timeout: float = 20.0,
    ) -> None:
        self._base = url.rstrip("/")
        self._url = f"{self._base}/query"
        self._database = database
        self._token = token
        self._client = httpx.Client(timeout=patience(timeout), verify=trusted())

    def select(self, statement: Select) -> list[Series]:
        """Answer one SELECT; no data is an empty list.

        Raises:
            Unavailable: the store can't be reached or is overloaded.
            Refused: the store doesn't take the statement.
        """
        return self.execute(statement.render())

    def measurements(self) -> list[str]:
        """Names of all measurements stored, sorted.

        Raises:
            Unavailable, Refused: as for `select`.
        """
        return sorted(str(row[0]) for series in self.execute("SHOW MEASUREMENTS") for row in series.rows)

    def series(
        self, measurement: str, *, start_ns: int, stop_ns: int, where: Sequence[Condition] = ()
    ) -> list[Mapping[str, str]]:
        """The tags of every series with a point in [start_ns, stop_ns), without empty ones, sorted.

        Asked as one row of each series: `SHOW SERIES` looks at no time within a shard, and InfluxDB 3.x hasn't got it.

        Raises:
            Unavailable, Refused: as for `select`.
        """
        fields = sorted(self.field_kinds(measurement))
        if not fields:
            return []
        one_row = Select(measurement, fields, start_ns=start_ns, stop_ns=stop_ns, where=where, group_by=("*",), limit=1)
        found = [{key: value for key, value in one.tags.items() if value} for one in self.select(one_row)]
        return sorted(found, key=lambda tags: sorted(tags.items()))

    def field_kinds(self, measurement: str) -> dict[str, str]:
        """Field names and their types (`float`, `integer`, `string`, `boolean`).

        Raises:
            Unavailable, Refused: as for `select`.
        """
        statement = f"SHOW FIELD KEYS FROM {quote_identifier(measurement)}"
        return {str(row[0]): str(row[1]) for series in self.execute(statement) for row in series.rows}

    def execute(self, statement: str) -> list[Series]:
        """Send one InfluxQL statement; build it with Select wherever input from outside is involved.

        Raises:
            Unavailable: the store can't be reached or is overloaded.
            Refused: the store doesn't take the statement.
        """
        token = self._token()
        try:
            response = self._client.post(
                self._url,
                data={"db": self._database, "q": statement, "epoch": "ns"},
                headers={"Authorization": f"Token {token}"} if token else {},
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._url}: {str(error) or type(error).__name__}") from None
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable(f"{self._url}: HTTP {response.status_code}: {response.text[:200]}")
        if response.status_code != 200:
            raise Refused(f"{self._url}: {_message(response)}", status=response.status_code)
        return list(_parse(response.json()))

    def complaint(self) -> str:
        """What the collector or store says is wrong with itself at /health; "" if nothing, or if it can't be asked."""
        try:
            document = self._client.get(f"{self._base}/health", timeout=_HEALTH_SECONDS).json()
        except (httpx.HTTPError, ValueError):
            return ""
        if not isinstance(document, dict) or document.get("status") != "fail":
            return ""
        # The collector names its sinks, and its log as one of them; InfluxDB has a message.
        sinks = document.get("sinks")
        reasons = [f"{name}: {why}" for name, why in sinks.items()] if isinstance(sinks, dict) else []
        said = "; ".join(reasons) or document.get("message") or "it isn't well"
        return one_line(str(said)[:_LONGEST_COMPLAINT])

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()


def _message(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return f"HTTP {response.status_code}: {response.text[:200]}"
    return str(document.get("error") or document.get("detail") or document)


def _parse(document: Mapping[str, Any]) -> Iterator[Series]:
    for result in document.get("results", []):
        if "error" in result:
            raise Refused(str(result["error"]), status=200)
        for series in result.get("series", []):
            yield Series(
                name=series.get("name", ""),
                tags=series.get("tags", {}),
                columns=tuple(series["columns"]),
                rows=series.get("values", []),
            )
