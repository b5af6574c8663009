"""Debian's `influx` shell shows the same of the collector as of InfluxDB."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.conftest import Server

pytestmark = [pytest.mark.xdist_group("compat"), pytest.mark.needs("influx", "influxdb-client")]

LINES = """\
cpu,host=a value=1.5,n=3i,s="x \\"y\\"",ok=t 1700000000000000000
cpu,host=b value=2.5 1700000001500000000
"""
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def influx(server: Server, database: str, tmp_path: Path) -> Shell:
    server.write(database, LINES).raise_for_status()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        connection = ["-host", server.host, "-port", str(server.port), "-username", "me", "-password", server.token]
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            ["influx", *connection, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (
            ["-format", "json"],
            (
                '{"results":[{"series":[{"name":"cpu","columns":["time","host","n","ok","s","value"],"values":'
                '[[1700000000000000000,"a",3,true,"x \\"y\\"",1.5],[1700000001500000000,"b",null,null,null,2.5]]}]}]}\n'
            ),
        ),
        (
            ["-format", "csv"],
            (
                'name,time,host,n,ok,s,value\ncpu,1700000000000000000,a,3,true,"x ""y""",1.5\n'
                "cpu,1700000001500000000,b,,,,2.5\n"
            ),
        ),
        (
            ["-format", "csv", "-precision", "rfc3339"],
            (
                'name,time,host,n,ok,s,value\ncpu,2023-11-14T22:13:20Z,a,3,true,"x ""y""",1.5\n'
                "cpu,2023-11-14T22:13:21.5Z,b,,,,2.5\n"
            ),
        ),
        (
            ["-format", "column", "-precision", "s"],
            (
                "name: cpu\n"
                "time       host n ok   s     value\n"
                "----       ---- - --   -     -----\n"
                '1700000000 a    3 true x "y" 1.5\n'
                "1700000001 b                 2.5\n"
            ),
        ),
    ],
    ids=["json", "csv", "times as text", "columns"],
)
def test_rows_are_shown_in_every_format(influx: Shell, database: str, how: list[str], expected: str) -> None:
    shown = influx("-database", database, *how, "-execute", "SELECT * FROM cpu")
    assert (shown.returncode, shown.stdout) == (0, expected)


def test_pretty_json_holds_the_same(influx: Shell, database: str) -> None:
    shown = influx("-database", database, "-format", "json", "-pretty", "-execute", "SELECT count(value) FROM cpu")
    assert shown.stdout.startswith('{\n    "results": [')
    assert json.loads(shown.stdout)["results"][0]["series"][0]["values"] == [[0, 2]]


def test_groups_are_shown_one_by_one(influx: Shell, database: str) -> None:
    shown = influx("-database", database, "-format", "csv", "-execute", "SELECT value FROM cpu GROUP BY host")
    assert shown.stdout == (
        "name,tags,time,value\n"
        "cpu,host=a,1700000000000000000,1.5\n"
        "name,tags,time,value\n"
        "cpu,host=b,1700000001500000000,2.5\n"
    )


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SHOW MEASUREMENTS", "name,name\nmeasurements,cpu\n"),
        ("SHOW SERIES", 'key\n"cpu,host=a"\n"cpu,host=b"\n'),
        ("SHOW TAG KEYS", "name,tagKey\ncpu,host\n"),
        ("SHOW TAG VALUES WITH KEY = host", "name,key,value\ncpu,host,a\ncpu,host,b\n"),
        (
            "SHOW FIELD KEYS",
            "name,fieldKey,fieldType\ncpu,n,integer\ncpu,ok,boolean\ncpu,s,string\ncpu,value,float\n",
        ),
        (
            "SHOW RETENTION POLICIES",
            "name,duration,shardGroupDuration,replicaN,default\nautogen,0s,168h0m0s,1,true\n",
        ),
    ],
)
def test_what_there_is_is_shown(influx: Shell, database: str, statement: str, expected: str) -> None:
    shown = influx("-database", database, "-format", "csv", "-execute", statement)
    assert (shown.returncode, shown.stdout) == (0, expected)


def test_several_statements_are_answered_in_order(influx: Shell, database: str) -> None:
    statements = "SELECT max(value) FROM cpu; SHOW MEASUREMENTS"
    shown = influx("-database", database, "-format", "csv", "-execute", statements)
    assert shown.stdout == "name,time,max\ncpu,1700000001500000000,2.5\nname,name\nmeasurements,cpu\n"


def test_an_insert_is_written(influx: Shell, server: Server, database: str) -> None:
    done = influx("-database", database, "-execute", "INSERT cpu,host=c value=9.5 1700000002000000000")
    assert (done.returncode, done.stdout) == (0, "")
    (result,) = server.results(database, "SELECT value FROM cpu WHERE host = 'c'")
    assert result["series"][0]["values"] == [[1_700_000_002_000_000_000, 9.5]]


def test_an_insert_that_is_refused_says_why(influx: Shell, database: str) -> None:
    done = influx("-database", database, "-execute", 'INSERT cpu,host=c value="text" 1700000002000000000')
    assert "field type conflict" in done.stdout + done.stderr


def test_a_statement_that_is_not_understood_ends_with_an_error(influx: Shell, database: str) -> None:
    shown = influx("-database", database, "-execute", "SELECT FROM cpu")
    assert shown.returncode == 1
    assert "error parsing query" in shown.stdout


def test_an_unknown_database_is_named(influx: Shell) -> None:
    shown = influx("-database", "nowhere", "-execute", "SELECT value FROM cpu")
    assert "database not found: nowhere" in shown.stdout


def test_a_wrong_password_is_refused(collector: Server, tmp_path: Path) -> None:
    command = ["influx", "-host", collector.host, "-port", str(collector.port), "-username", "me", "-password", "wrong"]
    shown = subprocess.run(
        [*command, "-execute", "SHOW DATABASES"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(tmp_path)},
        check=False,
    )
    assert "ERR" in shown.stdout


@pytest.mark.collector_lacks("floats without a fraction are shown as 2.0 where InfluxDB writes 2")
def test_a_whole_float_is_shown_without_a_point(influx: Shell, server: Server, database: str) -> None:
    server.write(database, "whole value=2 1").raise_for_status()
    shown = influx("-database", database, "-format", "csv", "-execute", "SELECT value FROM whole")
    assert shown.stdout == "name,time,value\nwhole,1,2\n"


def dump(folder: Path, database: str, *, compressed: bool) -> Path:
    """A file as `influx_inspect export` writes it."""
    text = (
        f"# INFLUXDB EXPORT: 1677-09-21T00:12:43Z - 2262-04-11T23:47:16Z\n# DDL\nCREATE DATABASE {database}\n# DML\n"
        f"# CONTEXT-DATABASE:{database}\n# CONTEXT-RETENTION-POLICY:autogen\n# writing tsm data\n"
        'cpu,host=imported value=1.5,s="a, b" 1700000000000000000\n'
        'cpu,host=imported value=2.5,s="say \\"hi\\"" 1700000001000000000\n'
    )
    path = folder / "dump"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_a_dump_is_imported(influx: Shell, server: Server, database: str, tmp_path: Path, compressed: bool) -> None:
    path = dump(tmp_path, database, compressed=compressed)
    done = influx("-import", "-path", str(path), *(["-compressed"] if compressed else []))
    assert done.returncode == 0
    assert "Processed 2 inserts" in done.stdout + done.stderr
    assert "Failed 0 inserts" in done.stdout + done.stderr
    (result,) = server.results(database, "SELECT s, value FROM cpu WHERE host = 'imported'")
    assert result["series"][0]["values"] == [
        [1_700_000_000_000_000_000, "a, b", 1.5],
        [1_700_000_001_000_000_000, 'say "hi"', 2.5],
    ]


def test_a_dumps_statements_are_carried_out(influx: Shell, database: str, tmp_path: Path) -> None:
    done = influx("-import", "-path", str(dump(tmp_path, f"{database}_new", compressed=False)))
    assert "error" not in done.stdout + done.stderr
