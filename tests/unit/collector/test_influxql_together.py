"""Many statements in one request."""

import pytest

from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.influxql.errors import PostponedError
from streamswarm_collector.influxql.source import Limits
from streamswarm_collector.store.embedded import EmbeddedStore
from tests.unit.collector.conftest import Write


def errors(engine: Engine, text: str) -> list[str]:
    return [one.get("error", "") for one in engine.execute(text, database="d").body["results"]]


def test_statements_of_one_request_share_its_rows(store: EmbeddedStore, write: Write) -> None:
    write("m v=1 1\nm v=2 2\nm v=3 3")
    engine = Engine(store, limits=Limits(rows=7))
    first, second, third, *others = errors(engine, ";".join(["SELECT v FROM m"] * 5))
    assert (first, second, third) == ("", "", "")
    assert others == ["the statements before have taken the 7 rows that one request may; send fewer at a time"] * 2


def test_statements_of_one_request_share_its_time(store: EmbeddedStore, write: Write) -> None:
    write("m v=1 1")
    engine = Engine(store, seconds=0)
    first, second = errors(engine, "SELECT v FROM m;SELECT v FROM m")
    assert "have taken the 0 s that one request may" in first
    assert "have taken the 0 s that one request may" in second


def test_many_statements_are_not_answered_while_others_wait(store: EmbeddedStore, write: Write) -> None:
    write("m v=1 1")
    engine = Engine(store)
    few, many = (";".join(["SELECT last(v) FROM m"] * count) for count in (2, 1_000))
    assert engine.execute(few, database="d", at_once=True).status == 200
    with pytest.raises(PostponedError):
        engine.execute(many, database="d", at_once=True)
    assert errors(engine, many) == [""] * 1_000
