"""`streamswarm store …` on a store as a collector leaves it."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from streamswarm_collector.batch import Row
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.ingest import parse_rows
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY, freeze
from streamswarm_collector.wal import Wal
from tests.commands import Done, run_command
from tests.support import eventually

LINES = [
    r'disk,host=a\ b,path=/x\,y free=12i,used=0.5,ok=true,note="say \"hi\", twice" 86400000000001',
    'disk,host=c free=-3i,note="" 86400000000002',
    "disk free=0i 172800000000000",
    'net,if=eth0 rx=1.25,up=1i,state="two\nlines" 172800000000001',
    'net,if=eth0 rx=2.5,up=0i,state="\\"quoted" 259200000000001',
    "net,if=eth1 rx=1e-9 950400000000000",
]


def streamswarm(*arguments: str, folder: Path) -> Done:
    return run_command("store", *arguments, folder=folder)


def in_a_process(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """For what a process that has the store open itself can't see."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")}
    return subprocess.run(
        [sys.executable, "-m", "streamswarm_cli", "store", *arguments],
        cwd=folder,
        env={**inherited, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def store_path(folder: Path) -> Path:
    return folder / "data" / "collector" / "store.duckdb"


def points_of(folder: Path, database: str = "streamswarm") -> list[Any]:
    store = EmbeddedStore(store_path(folder))
    statement = "SELECT * FROM disk GROUP BY *; SELECT * FROM net GROUP BY *; SHOW FIELD KEYS"
    body = Engine(store).execute(statement, database=database, epoch="ns").body
    store.close()
    return list(json.loads(json.dumps(body))["results"])


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A data folder whose store has cold days, a late point in one of them, and hot ones."""
    folder = tmp_path / "one"
    store_path(folder).parent.mkdir(parents=True)
    store = EmbeddedStore(store_path(folder))
    store.create_database("streamswarm")
    log = Wal(store_path(folder).parent / "wal")
    for lines in ("\n".join(LINES), f"disk,host=c free=7i {DAY + 1}"):
        lsn = log.submit(f"streamswarm\n{lines}".encode()).result()
        store.add(lsn, "streamswarm", list(parse_rows(lines)))
        store.flush()
        freeze(store, 4 * DAY if lsn == 1 else 0, threading.Event())
    log.close()
    store.close()
    return folder


def test_a_sound_store_is_found_sound(filled: Path) -> None:
    done = streamswarm("check", folder=filled)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 measurements, 7 fields, 5 series" in done.stdout
    assert "7 rows" in done.stdout
    assert "4 files of 5 rows" in done.stdout


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("INSERT INTO m1 FROM m1", "1 pairs of series and time occur twice"),
        ("INSERT INTO m1 BY NAME SELECT 99 AS sid, 5 AS time", "1 rows of series that are not listed"),
        ("INSERT INTO series SELECT * FROM series WHERE table_name = 'm1'", "series number 1 is given twice"),
        ("UPDATE fields SET type = 'boolean' WHERE name = 'rx'", "field 'rx' of type boolean is stored as DOUBLE"),
        ("UPDATE cold SET row_count = row_count + 1", "were written"),
        ("DELETE FROM cold", "not this store's"),
        ("UPDATE position SET lsn = 9", "the log ends at record 2, the store has 9 already"),
    ],
)
def test_what_is_wrong_in_the_tables_is_named_and_the_exit_code_is_one(filled: Path, damage: str, words: str) -> None:
    with duckdb.connect(str(store_path(filled))) as connection:
        connection.execute(damage)
    done = streamswarm("check", folder=filled)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stdout


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "the file is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "bytes where"),
        (lambda path: path.write_bytes(b"\0" * path.stat().st_size), "can't be read"),
    ],
)
def test_a_damaged_cold_file_is_named(filled: Path, harm: Any, words: str) -> None:
    victim = min(store_path(filled).with_suffix(".cold").glob("*.parquet"))
    harm(victim)
    done = streamswarm("check", folder=filled)
    assert done.returncode == 1, done.stdout + done.stderr
    (finding,) = [line for line in done.stdout.splitlines() if line.startswith(f"cold files: {victim.name}: ")]
    assert words in finding


def test_damage_in_the_log_is_named(filled: Path) -> None:
    log = filled / "data" / "collector" / "wal"
    with (log / f"{1:020d}.wal").open("ab") as segment:
        segment.write(b"rubbish that is no record")
    (log / f"{9:020d}.wal").write_bytes(b"")
    done = streamswarm("check", folder=filled)
    assert done.returncode == 1
    assert "25 damaged bytes after record 2" in done.stdout
    assert "records 3 to 8 are missing" in done.stdout


def test_a_store_in_use_or_missing_is_one_line_and_exit_code_two(filled: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(store_path(filled))
    for command in (("check",), ("compact",), ("export", "x"), ("import", __file__)):
        refused = in_a_process(*command, folder=filled)
        assert refused.returncode == 2
        assert f"in use by process {os.getpid()}; stop the collector first" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
    store.close()
    done = streamswarm("check", folder=tmp_path)
    assert done.returncode == 2
    assert "no such store" in done.stderr
    assert not store_path(tmp_path).exists()


def test_a_compacted_store_is_smaller_and_the_same(filled: Path) -> None:
    store = EmbeddedStore(store_path(filled))
    store.take_in("gone", [Row("big", number, {"x": number**0.5}) for number in range(100_000)])
    store.drop_database("gone")
    store.close()
    before = points_of(filled)
    size = store_path(filled).stat().st_size
    done = streamswarm("compact", folder=filled)
    assert done.returncode == 0, done.stderr
    assert f"{size:,}" in done.stdout
    assert store_path(filled).stat().st_size < size
    # Two measurements, and days 1 to 3 are of one week.
    assert len(list(store_path(filled).with_suffix(".cold").glob("*"))) == 2
    assert points_of(filled) == before
    assert streamswarm("check", folder=filled).returncode == 0


@pytest.mark.parametrize(("form", "name"), [("lines", "out.lp"), ("lines", "out.lp.gz"), ("csv", "out.csv")])
def test_what_is_exported_comes_back_the_same_and_twice_is_once(
    filled: Path, tmp_path: Path, form: str, name: str
) -> None:
    other = tmp_path / "two"
    other.mkdir()
    done = streamswarm("export", str(tmp_path / name), "--format", form, folder=filled)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 rows, ")
    for _ in range(2):
        done = streamswarm("import", str(tmp_path / name), folder=other)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "7 points, 0 lines refused" in done.stderr
    assert points_of(other) == points_of(filled)
    assert streamswarm("check", folder=other).returncode == 0


def test_a_part_is_exported_and_goes_where_it_is_told(filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.csv"
    arguments = ("--measurement", "net", "--start", "1970-01-03", "--stop", "1970-01-04T00:00:00Z", "--format", "csv")
    assert streamswarm("export", str(out), *arguments, folder=filled).returncode == 0
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["time"], row["tag:if"], row["field:float:rx"]) == ("172800000000001", "eth0", "1.25")
    assert streamswarm("import", str(out), "--bucket", "elsewhere", folder=filled).returncode == 0
    assert points_of(filled, "elsewhere")[1]["series"][0]["values"][0][0] == 172800000000001


def test_parquet_has_times_tags_and_fields_by_name(filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "disk.parquet"
    done = streamswarm("export", str(out), "--measurement", "disk", "--format", "parquet", folder=filled)
    assert done.returncode == 0, done.stderr
    found = duckdb.sql(f"SELECT epoch_ns(time), host, path, free, note FROM '{out}' ORDER BY 1, 2")
    assert found is not None
    rows = found.fetchall()
    assert rows == [
        (DAY + 1, "a b", "/x,y", 12, 'say "hi", twice'),
        (DAY + 1, "c", None, 7, None),
        (DAY + 2, "c", None, -3, ""),
        (2 * DAY, None, None, 0, None),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "x", "--format", "parquet"), "name it with --measurement"),
        (("export", "x", "--measurement", "nope"), "no measurement 'nope' in streamswarm"),
        (("export", "x", "--bucket", "nope"), "database not found: nope"),
        (("export", "x", "--start", "soon"), "--start soon: write 2024-01-31"),
        (("export", "x", "--start", "2024-05-01", "--stop", "2024-04-01"), "before --stop 2024-04-01; give a later"),
        (("export", "no/such/folder/x"), "No such file or directory"),
        (("import", "nope.lp"), "nope.lp: no such file"),
        (("import", "bad.csv"), "bad.csv: column 'oops'"),
        (("import", "bad.gz"), "bad.gz"),
        (("import", "bad.csv", "--precision", "weeks"), "--precision weeks: one of"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(filled: Path, arguments: tuple[str, ...], words: str) -> None:
    (filled / "bad.csv").write_text("measurement,time,oops\n")
    (filled / "bad.gz").write_bytes(gzip.compress(b"m v=1 1\n" * 1000)[:40])
    done = streamswarm(*arguments, folder=filled)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (filled / "x").exists()
    assert not list(filled.glob("*.part"))


def test_lines_that_are_refused_are_named_by_number_and_the_others_are_taken(tmp_path: Path) -> None:
    (tmp_path / "mixed.lp").write_text('# a comment\nm v=1 1\nm v="x" 2\nm v=\nm v=2 3\n')
    done = streamswarm("import", "mixed.lp", folder=tmp_path)
    assert done.returncode == 1
    assert "2 points, 2 lines refused" in done.stderr
    assert "line 3: field type conflict" in done.stderr
    assert "line 4: " in done.stderr


def test_an_import_that_is_interrupted_leaves_a_sound_store_and_can_be_begun_again(tmp_path: Path) -> None:
    source = tmp_path / "many.lp"
    with source.open("w") as file:
        for number in range(600_000):
            file.write(f"m,h={number % 50} a={number}.5,b={number}i,c={number}.25 {number + 1}\n")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs behind a shell's "&" ignores it
    process = subprocess.Popen(
        [sys.executable, "-m", "streamswarm_cli", "store", "import", str(source)],
        cwd=tmp_path,
        env=inherited,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    signal.signal(signal.SIGINT, before)
    wal = store_path(tmp_path).with_name("store.duckdb.wal")

    def begun() -> bool:
        return (
            process.poll() is not None
            or (wal.exists() and wal.stat().st_size > 0)
            or (store_path(tmp_path).exists() and store_path(tmp_path).stat().st_size > 1_000_000)
        )

    eventually(begun, bool)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (130, b"")
    done = streamswarm("check", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert streamswarm("import", str(source), folder=tmp_path).returncode == 0
    with duckdb.connect(str(store_path(tmp_path)), read_only=True) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT time) FROM m1").fetchall() == [(600_000, 600_000)]
