"""Grafana's InfluxQL data source gets from the collector what it gets from InfluxDB.

The requests are those of `createRequest` in `pkg/tsdb/influxdb/influxql/influxql.go`, the statements those that
`buildMetadataQuery` (`public/app/plugins/datasource/influxdb/influxql_query_builder.ts`) and `Query.Build`
(`pkg/tsdb/influxdb/models/query.go`) make with the macros replaced, as their own tests show them
(github.com/grafana/grafana, v11 and v12). `{db}` stands for the database.
"""

import uuid
from typing import Any, Final

import httpx
import pytest

from tests.compat.conftest import Server
from tests.support import RunningInfluxDB

pytestmark = [pytest.mark.xdist_group("compat"), pytest.mark.needs("influxd", "influxdb")]

START: Final = 1_700_000_000
TIME_FILTER: Final = "time >= 1700000000000ms and time <= 1700003600000ms"


def lines() -> str:
    """An hour of three hosts, every 20 s, no two at the same time; annotations; names that need quoting."""
    made = []
    for second in range(0, 3600, 20):
        for number, host in enumerate("abc"):
            site = "us\\ west" if host == "c" else "eu"
            fields = f"rtt={10 + second / 100 + number},sent={second + number}i,up={'true' if second % 60 else 'false'}"
            made.append(f"net,host=srv-{host},site={site} {fields} {(START + second) * 1000 + number}")
        if second % 600 == 0:
            made.append(f'events,host=srv-a title="deploy {second}",text="a, b",tags="x,y" {(START + second) * 1000}')
    made += [
        f"abc/edf/x,app=lab\\el v=1 {START * 1000}",
        f"quoted,app=lab'el v=1 {START * 1000}",
        f"n1,app=42 v=1 {START * 1000}",
    ]
    return "\n".join(made)


@pytest.fixture(scope="module")
def filled(collector: Server, influxdb: RunningInfluxDB) -> tuple[Server, Server, str]:
    """Both servers with the same hour, and the database's name."""
    name = f"grafana_{uuid.uuid4().hex[:8]}"
    influxdb.create_database(name)
    theirs = Server("influxdb", influxdb.url, "ignored")
    for server in (collector, theirs):
        server.write(name, lines(), precision="ms").raise_for_status()
    return collector, theirs, name


def asked(server: Server, database: str, statement: str, mode: str) -> httpx.Response:
    """`createRequest`: the statement in the address, or in the body with everything else in the address."""
    parameters = {"db": database, "epoch": "ms"}
    credentials = ("grafana", server.token)
    if mode == "GET":
        return httpx.get(f"{server.url}/query", params={**parameters, "q": statement}, auth=credentials, timeout=30)
    return httpx.post(f"{server.url}/query", params=parameters, data={"q": statement}, auth=credentials, timeout=30)


def nearly(found: Any) -> Any:
    """The same with every number to be compared as floats are: a sum depends on the order of what is added."""
    if isinstance(found, dict):
        return {key: nearly(value) for key, value in found.items()}
    if isinstance(found, list):
        return [nearly(value) for value in found]
    return pytest.approx(found) if isinstance(found, float) else found


def lacks(reason: str, *statements: str) -> list[Any]:
    return [pytest.param(statement, marks=pytest.mark.collector_lacks(reason)) for statement in statements]


METADATA: Final = [
    "SHOW measurements",  # the health check
    'SHOW RETENTION POLICIES on "{db}"',
    "SHOW FIELD KEYS",
    'SHOW FIELD KEYS FROM "net"',
    "SHOW FIELD KEYS FROM /^n/",
    'SHOW FIELD KEYS FROM "nothing"',
    'SHOW FIELD KEYS ON "{db}" FROM "net"',
    "SHOW TAG KEYS",
    'SHOW TAG KEYS FROM "net"',
    "SHOW TAG KEYS FROM /.*/",
    "SHOW TAG KEYS WHERE \"host\" = 'srv-a'",
    'SHOW TAG KEYS FROM "net" WHERE "host" = \'srv-a\' AND "site" =~ /us/',
    "SHOW TAG KEYS WHERE \"app\" = 'lab\\\\el'",
    "SHOW TAG KEYS WHERE \"app\" = 'lab\\'el'",
    "SHOW TAG KEYS WHERE \"app\" = ''",
    "SHOW TAG KEYS FROM net LIMIT 1 OFFSET 1",
    'SHOW TAG VALUES WITH KEY = "host"',
    'SHOW TAG VALUES FROM "net" WITH KEY = "host" WHERE "site" = \'us west\'',
    'SHOW TAG VALUES FROM "net" WITH KEY = "host" WHERE "site" =~ /^(eu|us west)$/',
    'SHOW TAG VALUES FROM "net" WITH KEY = "app"',
    'SHOW TAG VALUES WITH KEY IN ("host","site")',
    "SHOW TAG VALUES WITH KEY =~ /ho|si/",
    "SHOW TAG VALUES WITH KEY = host LIMIT 2",
    'SHOW TAG VALUES ON "{db}" FROM "net" WITH KEY = "host"',
    'SHOW TAG VALUES FROM "net" WITH KEY = "site" WHERE "host"::tag = \'srv-c\'',
    f'SHOW TAG VALUES FROM "net" WITH KEY = "site" WHERE {TIME_FILTER}',
    f"SHOW TAG VALUES FROM net WITH KEY = site WHERE host =~ /a|b/ AND {TIME_FILTER}",
    'SHOW TAG VALUES FROM /net|events/ WITH KEY = "host"',
    "SHOW MEASUREMENTS LIMIT 100",
    "SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)NE/ LIMIT 100",
    "SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)abc\\/edf\\// LIMIT 100",
    "SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)e/ WHERE \"host\" = 'srv-a' LIMIT 100",
    "SHOW MEASUREMENTS WHERE \"app\" = '42' LIMIT 100",
    "SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)none/ LIMIT 100",
    "SHOW SERIES",
    'SHOW SERIES FROM "net" WHERE "site" = \'eu\'',
    "SHOW TAG KEYS WHERE \"app\" == '42'",  # the editor offers ==, which InfluxDB refuses
    'SHOW FIELD KEYS FROM "autogen"."net"',
    'SHOW TAG KEYS FROM "autogen"."net"',
    'SHOW TAG VALUES FROM "autogen"."net" WITH KEY = "host" WHERE "site" = \'eu\'',
    "SHOW FIELD KEYS LIMIT 2",
    "SHOW TAG VALUES CARDINALITY WITH KEY = host",
    "SHOW TAG VALUES EXACT CARDINALITY FROM net WITH KEY = host",
    "SHOW SERIES EXACT CARDINALITY",
    "SHOW MEASUREMENT EXACT CARDINALITY",
    "SHOW USERS",
]

PANELS: Final = [
    f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(5m) fill(null)',
    f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(200ms) fill(none) limit 4',
    (
        f'SELECT mean("rtt") FROM "net" WHERE ("host"::tag =~ /^srv-[ab]$/) AND {TIME_FILTER} '
        'GROUP BY time(10m), "host"::tag fill(null)'
    ),
    (
        f'SELECT mean("rtt") FROM "net" WHERE ("host" = \'srv-a\' OR "host" = \'srv-b\') AND {TIME_FILTER} '
        'GROUP BY time(20m), "host", "site" fill(previous)'
    ),
    (
        f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(5m), "host" fill(linear) '
        "ORDER BY time DESC limit 3 slimit 1"
    ),
    f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(30m, 5m)',
    f'SELECT mean("rtt") / 100 FROM "net" WHERE {TIME_FILTER}',
    f'SELECT mean("rtt") / 5000 AS "a", max("rtt") AS "b c" FROM "net" WHERE {TIME_FILTER} GROUP BY time(30m) fill(0)',
    f'SELECT "rtt" FROM "net" WHERE ("host" = \'srv-a\') AND {TIME_FILTER} LIMIT 5',
    f'SELECT "rtt"::field, "host"::tag FROM "net" WHERE {TIME_FILTER} ORDER BY time DESC LIMIT 6',
    f'SELECT * FROM "net" WHERE {TIME_FILTER} LIMIT 6',
    f'SELECT last("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY "host"',
    f'SELECT percentile("rtt", 95) FROM "net" WHERE {TIME_FILTER} GROUP BY time(20m), "host" fill(none)',
    f'SELECT count(distinct("sent")) FROM "net" WHERE {TIME_FILTER}',
    f'SELECT non_negative_derivative(mean("sent"), 1s) FROM "net" WHERE {TIME_FILTER} GROUP BY time(10m), "host"',
    f'SELECT derivative(last("sent"), 1m) *8 FROM "net" WHERE {TIME_FILTER} GROUP BY time(10m) fill(null)',
    f'SELECT moving_average(mean("rtt"), 3) FROM "net" WHERE {TIME_FILTER} GROUP BY time(10m) fill(null)',
    f'SELECT cumulative_sum(count("rtt")) FROM "net" WHERE {TIME_FILTER} GROUP BY time(20m)',
    f'SELECT spread("rtt"), stddev("rtt"), median("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY "host"',
    (
        f'SELECT max("m") FROM (SELECT mean("rtt") AS "m" FROM "net" WHERE {TIME_FILTER} GROUP BY time(10m), "host") '
        f"WHERE {TIME_FILTER} GROUP BY time(30m)"
    ),
    f'SELECT count("rtt") FROM "net" WHERE "up" = true AND "sent" > 1001 AND "sent" != -123 AND {TIME_FILTER}',
    f'SELECT "title", "text", "tags" FROM "events" WHERE {TIME_FILTER} LIMIT 3',
    f'SELECT "rtt" as "世界" FROM "net" WHERE {TIME_FILTER} limit 1',
    f'SELECT "rtt" as "where is my thing" FROM "net" WHERE "host" = \'srv-a\' AND {TIME_FILTER} limit 1',
    f'SELECT "rtt" FROM "net" WHERE {TIME_FILTER} AND host =~ /(?i)SRV-A/ LIMIT 1',
    f'SELECT mean("rtt") FROM "{{db}}"."autogen"."net" WHERE {TIME_FILTER} GROUP BY time(1h) -- a comment',
    'SELECT mean("rtt") FROM "net" WHERE time > now() - 1h GROUP BY time(10s)',
    f'SELECT "nothing" FROM "net" WHERE {TIME_FILTER}',
    f'SELECT "rtt" FROM "nothing" WHERE {TIME_FILTER}',
    (
        f'SELECT count("rtt") FROM "net" WHERE {TIME_FILTER};SELECT max("rtt") FROM "net" WHERE {TIME_FILTER} '
        'GROUP BY "host";SHOW MEASUREMENTS LIMIT 1'
    ),
    f'SELECT count("rtt") FROM "net" WHERE {TIME_FILTER};\n',
    f'SELECT count("rtt") FROM "net" WHERE {TIME_FILTER}; SELECT count("rtt") FROM "nowhere".."net"',
    f'SELECT mean("rtt" FROM "net" WHERE {TIME_FILTER}',
    f'SELECT mean("rtt") FROM "autogen"."net" WHERE {TIME_FILTER} GROUP BY time(10m), "host" fill(none)',
    f'SELECT mean("rtt") FROM "autogen"./net/ WHERE {TIME_FILTER} GROUP BY time(10m) fill(none)',
    f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(20m) fill(0) tz(\'Europe/Paris\')',
    f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(1d) tz(\'Europe/Paris\')',
    (
        f'SELECT mean("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY time(5s) '
        "ORDER BY time ASC limit 1 slimit 1 tz('Europe/Paris')"
    ),
    f'SELECT distinct("up") FROM "net" WHERE {TIME_FILTER} AND "sent" < 50',
    f'SELECT mode("up") FROM "net" WHERE {TIME_FILTER}',
    *lacks(
        "integral() of several groups comes group by group, where InfluxDB mixes them up",
        f'SELECT integral("rtt") FROM "net" WHERE {TIME_FILTER} GROUP BY "host"',
    ),
    f'SELECT top("rtt", 3), "host" FROM "net" WHERE {TIME_FILTER}',
    f'SELECT bottom("rtt", "host", 2) FROM "net" WHERE {TIME_FILTER}',
    f'SELECT "rtt"::integer FROM "net" WHERE {TIME_FILTER} LIMIT 2',
    f'SELECT count("rtt") FROM "net" WHERE {TIME_FILTER}; SELECT nope("rtt") FROM "net"',
    *lacks(
        "holt_winters() is not wanted",
        f'SELECT holt_winters_with_fit(mean("rtt"), 2, 0) FROM "net" WHERE {TIME_FILTER} GROUP BY time(10m)',
    ),
]


@pytest.mark.parametrize("mode", ["GET", "POST"])
@pytest.mark.parametrize("statement", [*METADATA, *PANELS])
def test_grafana_gets_influxdbs_answer(
    filled: tuple[Server, Server, str], request: pytest.FixtureRequest, statement: str, mode: str
) -> None:
    for marker in request.node.iter_markers("collector_lacks"):
        request.applymarker(pytest.mark.xfail(strict=True, reason=marker.args[0]))
    ours, theirs, database = filled
    answers = [asked(server, database, statement.replace("{db}", database), mode) for server in (ours, theirs)]
    mine, real = (answer.json() for answer in answers)
    assert answers[0].status_code == answers[1].status_code, mine
    if "error" in real:
        assert mine["error"].startswith("error parsing query: ")
        assert real["error"].startswith("error parsing query: ")
    else:
        assert mine == nearly(real)


def test_an_answer_is_json_of_the_kind_that_grafana_reads(filled: tuple[Server, Server, str]) -> None:
    ours, _, database = filled
    answer = asked(ours, database, "SHOW MEASUREMENTS", "POST")
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Influxdb-Version"].startswith("1.")


def test_grafanas_token_header_is_taken_as_well(filled: tuple[Server, Server, str]) -> None:
    # For InfluxDB 2.x and 3.x the data source sends a custom header instead of a password.
    ours, _, database = filled
    answer = httpx.get(
        f"{ours.url}/query",
        params={"db": database, "q": "SHOW MEASUREMENTS", "epoch": "ms"},
        headers={"Authorization": f"Token {ours.token}"},
    )
    assert answer.status_code == 200
