"""Every answer is what a real InfluxDB 1.6.7 answered, or a refusal that says what isn't understood."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from streamswarm_collector.fieldtypes import FieldTypes
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.ingest import Parser
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import freeze
from streamswarm_core.lineprotocol import PRECISION_NS

RECORDED = Path(__file__).parents[2] / "fixtures" / "influxql" / "recorded.jsonl"
CASES = [
    case
    for case in map(json.loads, RECORDED.read_text(encoding="utf-8").splitlines())
    if isinstance(case["response"], dict)  # a chunked answer is several documents
]

TIES = "which of several points of the same time comes first is left open; InfluxDB's choice follows its shards"
EXPLAINED = {
    "SELECT first(usage) FROM cpu WHERE time >= 1704067200s AND time < 1704067260s": TIES,
    "SELECT count(usage), sum(usage), first(usage) FROM cpu WHERE time >= 1704067200s AND time < 1704067260s": TIES,
    "SELECT first(usage), host FROM cpu WHERE time >= 1704067200s AND time < 1704067260s": TIES,
    "SELECT first(v) FROM x": TIES,
    "SELECT usage FROM cpu ORDER BY time DESC LIMIT 3": TIES,
    "SELECT integral(usage) FROM cpu WHERE time >= 1704067200s AND time < 1704067260s": TIES,
    "SELECT usage FROM cpu LIMIT 3": TIES,
    "SELECT usage FROM cpu LIMIT 2": TIES,
    "SELECT mean(usage) FROM cpu WHERE time >= 0 GROUP BY time(1m)": "refused as well; ours says what to do about it",
    "SELECT * FROM p": "ours refuses an unknown precision, which InfluxDB takes for nanoseconds",
    "SHOW DATABASES": "a server that has other databases",
    "CREATE DATABASE c99": "this engine was given no one to create it",
    "DROP MEASUREMENT nosuch": "this engine was given no one to drop it",
}

REFUSED: list[str] = []


class _Opened(dict[str, EmbeddedStore]):
    def __init__(self, *, cold: bool) -> None:
        super().__init__()
        self.cold = cold


@pytest.fixture(scope="module", params=["hot", "cold"])
def stores(request: pytest.FixtureRequest) -> Iterator[_Opened]:
    """Stores by what was written; cold ones have every day in Parquet files and no row in memory."""
    opened = _Opened(cold=request.param == "cold")
    yield opened
    for store in opened.values():
        store.close()


def loaded_store(case: dict[str, Any], stores: _Opened, folder: Path) -> EmbeddedStore:
    """The store with a case's points; cases that wrote the same share one."""
    key = json.dumps([case["db"], case["write"]])
    if key not in stores:
        path = folder / f"{'cold' if stores.cold else 'hot'}{len(stores)}.duckdb"
        store = EmbeddedStore(path, flush_seconds=0.01)
        store.create_database(case["db"])
        parser = Parser(FieldTypes())
        for number, write in enumerate(case["write"], start=1):
            if write["precision"] in PRECISION_NS:
                batch = parser.parse(
                    write["body"], database=case["db"], precision=write["precision"], received_ns=1, stamp={}
                )
                store.add(number, case["db"], batch.rows, batch.blocks)
        if stores.cold:
            store.flush()
            freeze(store, 2**63 - 1, threading.Event())
            store.close()
            store = EmbeddedStore(path, flush_seconds=0.01)
        stores[key] = store
    return stores[key]


def in_order(body: Any) -> Any:
    """Rows of the same time in one order: InfluxDB leaves it open."""
    body = json.loads(orjson.dumps(body), parse_int=float)
    for result in body.get("results", []):
        if "error" in result:
            result["error"] = result["error"].split(":")[0]
        for series in result.get("series", []):
            if series["columns"][0] == "time":
                series["values"] = sorted(series["values"], key=json.dumps)
    return body


@pytest.mark.parametrize("case", CASES, ids=[f"{case['case']}: {case['q']}"[:90] for case in CASES])
def test_the_answer_is_influxdbs_or_a_refusal(
    case: dict[str, Any], stores: _Opened, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = loaded_store(case, stores, tmp_path_factory.getbasetemp())
    params = json.loads(case["params"].get("params", "{}"))
    reply = Engine(store).execute(case["q"], database=case["db"], epoch=case["params"].get("epoch"), params=params)
    if reply.status == 400:
        assert reply.body["error"].startswith("error parsing query: ")
    elif case["q"] not in EXPLAINED:
        assert in_order(reply.body) == in_order(case["response"])


def test_only_the_statements_named_here_are_refused(stores: _Opened, tmp_path_factory: pytest.TempPathFactory) -> None:
    refused = []
    for case in CASES:
        store = loaded_store(case, stores, tmp_path_factory.getbasetemp())
        params = json.loads(case["params"].get("params", "{}"))
        reply = Engine(store).execute(case["q"], database=case["db"], epoch=case["params"].get("epoch"), params=params)
        if reply.status != case["status"]:
            refused.append(case["q"])
    assert refused == REFUSED
