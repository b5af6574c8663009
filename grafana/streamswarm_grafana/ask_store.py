"""Run a dashboard's queries without Grafana: for the proof that panels have data, and for previews."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from streamswarm_grafana import expand
from streamswarm_grafana.expand import View

_LABEL_VALUES: Final = re.compile(r"label_values\((?P<selector>.*), (?P<label>\w+)\)\Z")
_ALIAS: Final = re.compile(r"\$(?:tag_)?(\w+)")
_LEGEND: Final = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One series, or the rows of one group of a table.

    Attributes:
        name: as the legend shows it.
        labels: tags of the group.
        columns: names of the values beside the time.
        rows: milliseconds, then a value for each column.
    """

    name: str
    labels: Mapping[str, str]
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    @property
    def has_data(self) -> bool:
        """Whether there is any value."""
        return any(value is not None for row in self.rows for value in row[1:])


@dataclass(frozen=True, slots=True)
class Store:
    """Where queries go.

    Attributes:
        url: base URL.
        kind: the data source's type.
        database: for InfluxDB.
    """

    url: str
    kind: str
    database: str = ""

    def run(self, client: httpx.Client, target: Mapping[str, Any], view: View, every: str) -> list[Drawn]:
        """Answer a panel's target.

        Raises:
            ValueError: the store refused it; with its words.
        """
        if self.kind == "influxdb":
            return list(self._influxql(client, target, view, every))
        return list(self._promql(client, target, view, target.get("interval", every)))

    def options(self, client: httpx.Client, query: Any, view: View) -> list[str]:
        """Answer a variable's query."""
        if self.kind == "influxdb":
            found = self._influxql(client, {"query": query, "refId": "A"}, view, "1m")
            return sorted({str(row[-1]) for one in found for row in one.rows})
        text = expand.promql(query["query"], view, "1m")
        parts = _LABEL_VALUES.match(text)
        if parts is None:
            raise ValueError(f"no variable query of the Prometheus data source: {text}")
        span = {"start": view.start_ms / 1000, "end": view.stop_ms / 1000}
        answer = client.get(
            f"{self.url}/api/v1/label/{parts['label']}/values", params={"match[]": parts["selector"], **span}
        )
        return list(_good(answer, text)["data"])

    def _influxql(self, client: httpx.Client, target: Mapping[str, Any], view: View, every: str) -> Iterator[Drawn]:
        text = expand.influxql(target["query"], view, every)
        answer = client.get(f"{self.url}/query", params={"db": self.database, "q": text, "epoch": "ms"})
        for result in _good(answer, text)["results"]:
            if "error" in result:
                raise ValueError(f"{result['error']}: {text}")
            for series in result.get("series", []):
                labels = series.get("tags", {})
                columns = tuple(series["columns"])
                rows = [tuple(row) for row in series["values"]]
                if columns[0] != "time":  # SHOW TAG VALUES
                    yield Drawn("", labels, columns, rows)
                elif target.get("resultFormat") == "table":
                    yield Drawn("", labels, columns[1:], rows)
                else:
                    for place, column in enumerate(columns[1:], 1):
                        name = _alias(target.get("alias", ""), labels, column)
                        yield Drawn(name, labels, (column,), [(row[0], row[place]) for row in rows])

    def _promql(self, client: httpx.Client, target: Mapping[str, Any], view: View, every: str) -> Iterator[Drawn]:
        text = expand.promql(target["expr"], view, every)
        if target.get("instant"):
            answer = client.get(f"{self.url}/api/v1/query", params={"query": text, "time": view.stop_ms / 1000})
        else:
            span = {"start": view.start_ms / 1000, "end": view.stop_ms / 1000, "step": view.step(every)}
            answer = client.get(f"{self.url}/api/v1/query_range", params={"query": text, **span})
        for series in _good(answer, text)["data"]["result"]:
            labels = series["metric"]
            samples = series.get("values") or [series["value"]]
            rows = [(int(float(at) * 1000), _number(value)) for at, value in samples]
            yield Drawn(_legend(target.get("legendFormat", ""), labels), labels, ("Value",), rows)


def _number(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) else value


def _legend(form: str, labels: Mapping[str, str]) -> str:
    return _LEGEND.sub(lambda found: labels.get(found[1], ""), form)


def _alias(alias: str, labels: Mapping[str, str], column: str) -> str:
    if not alias:
        return column
    return _ALIAS.sub(lambda found: labels.get(found[1], column if found[1] == "col" else ""), alias)


def _good(answer: httpx.Response, text: str) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise ValueError(f"{answer.status_code} {answer.text[:300]}: {text}")
    body: dict[str, Any] = answer.json()
    return body
