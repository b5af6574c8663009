"""The one query type that Grafana's SDK lacks: InfluxQL as text, for the InfluxDB data source.

Fields as in `public/app/plugins/datasource/influxdb/types.ts` of Grafana 11 (`InfluxQuery`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from grafana_foundation_sdk.cog import builder, runtime, variants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

TYPE: Final = "influxdb"


@dataclass
class Dataquery(variants.Dataquery):
    """One InfluxQL statement.

    Attributes:
        query: the statement, with Grafana's macros.
        ref_id: A, B, C …
        result_format: rows as a table, or one series for each group and column.
        alias: a series' name; `$tag_agent` is a group's tag, `$col` the column.
        datasource: where to ask.
    """

    query: str
    ref_id: str
    result_format: Literal["time_series", "table"] = "time_series"
    alias: str = ""
    datasource: DataSourceRef | None = None

    def to_json(self) -> dict[str, object]:
        """As Grafana stores it."""
        payload: dict[str, object] = {
            "query": self.query,
            "rawQuery": True,
            "refId": self.ref_id,
            "resultFormat": self.result_format,
        }
        if self.alias:
            payload["alias"] = self.alias
        if self.datasource is not None:
            payload["datasource"] = self.datasource
        return payload

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The reverse of to_json."""
        source = data.get("datasource")
        return cls(
            query=data["query"],
            ref_id=data["refId"],
            result_format=data["resultFormat"],
            alias=data.get("alias", ""),
            datasource=None if source is None else DataSourceRef.from_json(source),
        )


@dataclass
class Target(builder.Builder[variants.Dataquery]):
    """What panels take: a query that is built already."""

    query: variants.Dataquery

    def build(self) -> variants.Dataquery:
        """The query itself."""
        return self.query


def register() -> None:
    """Let the SDK's models read this type back from JSON."""
    runtime.register_dataquery_variant(runtime.DataqueryConfig(identifier=TYPE, from_json_hook=Dataquery.from_json))
