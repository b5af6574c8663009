"""Corner cases of line protocol: the same body to the collector and to InfluxDB 1.6.7, then the same query.

Equal are the status, what is stored, and the words that clients look for in an error. Where the collector differs on
purpose, the case is in DIFFERENT with the reason; it is held to that, too.
"""

import json
import time
from typing import Any, Final

import pytest

from tests.compat.conftest import Server
from tests.compat.line_protocol_cases import CASES, DIFFERENT, HUGE, Different

pytestmark = [pytest.mark.xdist_group("compat"), pytest.mark.needs("influxd", "influxdb")]

WORDS: Final = ("partial write", "unable to parse", "field type conflict", "invalid field name", "invalid tag key")


def stored(server: Server, database: str) -> Any:
    """Every point, with the types of the fields that have one."""
    answer = server.query(database, "SELECT * FROM /.*/; SHOW FIELD KEYS", epoch="ns")
    points, fields = answer.json()["results"]
    found = [(one["name"], one["columns"], one["values"]) for one in points.get("series", [])]
    # InfluxDB remembers the fields of points that it then refuses.
    kept = {column for _, columns, _ in found for column in columns}
    types = [
        (one["name"], [row for row in one["values"] if row[0] in kept]) for one in fields.get("series", []) if found
    ]
    return found, types


def words(answer: str) -> set[str]:
    return {word for word in WORDS if word in answer}


def label(body: str | bytes) -> str:
    return ascii(body)[:60]


@pytest.mark.parametrize("body", [*CASES, *HUGE], ids=label)
def test_a_body_is_taken_as_influxdb_takes_it(both: tuple[Server, Server], database: str, body: str | bytes) -> None:
    ours, theirs = both
    mine, real = (server.write(database, body) for server in (ours, theirs))
    assert mine.status_code == real.status_code, (mine.text, real.text)
    assert words(real.text) - {"field type conflict"} <= words(mine.text), (mine.text, real.text)
    assert stored(ours, database) == stored(theirs, database)


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: label(case.body))
def test_a_body_is_taken_otherwise_for_a_reason(both: tuple[Server, Server], database: str, case: Different) -> None:
    ours, theirs = both
    mine, real = (server.write(database, case.body) for server in (ours, theirs))
    assert mine.status_code == case.status, mine.text
    found, _ = stored(ours, database)
    assert sum(len(rows) for _, _, rows in found) == case.rows
    assert (mine.status_code, found) != (real.status_code, stored(theirs, database)[0]), "no difference any more"


@pytest.mark.parametrize(
    "body",
    [
        "m v=1i 2\nm v=2 3\nm v=3,w=1 4",
        "m v=1i 5",
        "m v=1i,z=3 5\nn z=1 1\nm v=oops 3",
        'm v="text" 5\nm v=6 6',
        "m v=oops 2\nm v=3 3\nm v= 4\nm v=5 5",
        "m v=oops 2\nm w= 3",
    ],
)
def test_of_a_partial_write_the_same_points_are_kept(both: tuple[Server, Server], database: str, body: str) -> None:
    for server in both:
        server.write(database, "m v=1 1").raise_for_status()
    mine, real = (server.write(database, body) for server in both)
    assert mine.status_code == real.status_code == 400
    assert words(real.text) <= words(mine.text)
    assert stored(both[0], database) == stored(both[1], database)


@pytest.mark.parametrize("precision", ["n", "ns", "u", "ms", "s", "m", "h", ""])
def test_a_missing_time_is_now_in_the_requests_precision(
    both: tuple[Server, Server], database: str, precision: str
) -> None:
    unit = {"u": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}.get(precision, 1)
    before = time.time_ns()
    for server in both:
        server.write(database, "m v=1\nm,t=a v=2", precision=precision).raise_for_status()
        (result,) = server.results(database, "SELECT v FROM m")
        stamps = {row[0] for row in result["series"][0]["values"]}
        (stamp,) = stamps
        assert stamp % unit == 0
        assert before - unit < stamp <= time.time_ns()


@pytest.mark.parametrize("precision", ["n", "ns", "u", "ms", "s", "m", "h"])
def test_times_are_scaled_and_bounded_alike(both: tuple[Server, Server], database: str, precision: str) -> None:
    stamps = [0, 1, -1, 2_562_047, 2_562_048, 153_722_867, 153_722_868, 9_223_372_036, 9_223_372_037]
    body = "\n".join(f"m v{column}=1 {stamp}" for column, stamp in enumerate(stamps))
    mine, real = (server.write(database, body, precision=precision) for server in both)
    assert mine.status_code == real.status_code, (mine.text, real.text)
    assert stored(both[0], database) == stored(both[1], database)


def test_all_cases_together_leave_the_collector_working(collector: Server, database: str) -> None:
    for body in CASES:
        collector.write(database, body)
    collector.write(database, "last v=1 1").raise_for_status()
    found, _ = stored(collector, database)
    assert json.dumps(found)
    assert "last" in {name for name, _, _ in found}
