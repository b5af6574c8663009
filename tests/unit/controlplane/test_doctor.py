"""A control plane's doctor, on real databases."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.doctor import examine
from streamswarm_controlplane.schema import downgrade, newest_revision, revisions
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.doctor.finding import State
from tests.conftest import leave_out
from tests.doctoring import Told, about, answering, health_of, wrong
from tests.postgres import MISSING, PostgreSQL, find_program, run_postgresql
from tests.support import eventually, find_free_port

EMPTY_STORE = {"/query": (200, {"results": [{"series": [{"columns": ["name"], "values": [["icmp"]]}]}]})}


@pytest.fixture
def told() -> Told:
    """What the store says."""
    return Told(dict(EMPTY_STORE))


@pytest.fixture
def settings(tmp_path: Path, told: Told) -> Iterator[ControlPlaneSettings]:
    """A control plane that has run, and doesn't now."""
    with answering(told) as url:
        made = ControlPlaneSettings(data=tmp_path / "data", port=find_free_port(), store_url=url)
        bootstrap(made)
        for path in made.data.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        yield made


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    if find_program("postgres") is None:
        leave_out(MISSING)
    with run_postgresql() as server:
        yield server


def on(settings: ControlPlaneSettings, url: str) -> ControlPlaneSettings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


def test_a_stopped_control_plane_lacks_nothing_but_to_be_started(settings: ControlPlaneSettings) -> None:
    assert wrong(examine(settings)) == {"process": State.BROKEN}


def test_looking_leaves_no_file_and_changes_none(settings: ControlPlaneSettings) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in settings.data.rglob("*")}

    before = files()
    assert about("database", examine(settings)).state is State.OK
    assert files() == before


def test_before_the_first_start_nothing_is_wrong_and_nothing_made(tmp_path: Path, told: Told) -> None:
    with answering(told) as url:
        new = ControlPlaneSettings(data=tmp_path / "new", port=find_free_port(), store_url=url)
        findings = list(examine(new))
    assert not wrong(findings)
    assert about("database", findings).state is State.NOTE
    assert not (tmp_path / "new").exists()


def test_a_schema_from_before_is_brought_up_to_date_by_the_start_and_is_broken_beside_a_running_one(
    settings: ControlPlaneSettings,
) -> None:
    database = Database(settings.database)
    known = [one.id for one in revisions(database.engine)]
    downgrade(database.engine, known[-2])
    database.close()
    stopped = about("schema", examine(settings))
    assert stopped.state is State.WARNING
    assert f"has the schema {known[-2]}, this program's is {known[-1]}" in stopped.found
    with answering(Told(health_of("controlplane"))) as url:
        running = settings.model_copy(update={"port": int(url.rpartition(":")[2])})
        finding = about("schema", examine(running))
    assert finding.state is State.BROKEN
    assert "streamswarm controlplane migrate" in finding.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", ("9999", "run that one, or take back a backup")),
        (
            "ALTER TABLE sites DROP COLUMN latitude",
            ("lacks sites.latitude", "take back a backup, or add what is missing"),
        ),
    ],
    ids=["newer", "without a column"],
)
def test_a_schema_that_is_not_this_programs_is_told(
    settings: ControlPlaneSettings, change: str, words: tuple[str, str]
) -> None:
    database = Database(settings.database)
    with database.engine.begin() as connection:
        connection.execute(text(change))
    database.close()
    finding = about("schema", examine(settings))
    assert finding.state is State.BROKEN
    assert words[0] in finding.found
    assert words[1] in finding.remedy


def test_a_file_that_is_no_database_is_told(settings: ControlPlaneSettings) -> None:
    (settings.folder / "controlplane.db").write_bytes(b"nothing of the kind" * 100)
    finding = about("database", examine(settings))
    assert finding.state is State.BROKEN
    assert "file is not a database" in finding.found


def test_a_signing_key_that_is_none_is_told(settings: ControlPlaneSettings) -> None:
    (settings.folder / "signing-key.pem").write_text("none")
    assert about("signing key", examine(settings)).state is State.BROKEN


def test_a_secret_that_others_can_read_is_told(settings: ControlPlaneSettings) -> None:
    (settings.data / "secrets/ml.token").chmod(0o644)
    assert "ml.token" in about("secrets", examine(settings)).found


def test_a_collector_of_another_control_plane_is_told(settings: ControlPlaneSettings, told: Told) -> None:
    told.answers["/query"] = (401, {"error": "signed with a key that the control plane doesn't publish"})
    finding = about("store", examine(settings))
    assert finding.state is State.BROKEN
    assert "STREAMSWARM_COLLECTOR_CONTROLPLANE_URL" in finding.remedy


def test_a_store_that_is_away_is_told(settings: ControlPlaneSettings) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    finding = about("store", examine(settings.model_copy(update={"store_url": url})))
    assert finding.found == f"{url} can't be reached: Connection refused"


def test_a_public_address_where_something_else_answers_is_told(settings: ControlPlaneSettings) -> None:
    with answering(Told()) as url:
        finding = about("public address", examine(settings.model_copy(update={"public_url": url})))
    assert "STREAMSWARM_CONTROLPLANE_PUBLIC_URL" in finding.remedy


def test_postgresql_with_this_schema_is_fine_and_an_empty_one_is_filled_later(
    settings: ControlPlaneSettings, postgresql: PostgreSQL
) -> None:
    mine = on(settings, postgresql.url(postgresql.new_database()))
    assert "is empty" in about("database", examine(mine)).found
    bootstrap(mine)
    finding = about("database", examine(mine))
    assert finding.state is State.OK
    engine = create_engine(mine.database)
    assert f"with the schema {newest_revision(engine)}" in finding.found
    engine.dispose()


def test_a_database_that_is_not_there_is_told(settings: ControlPlaneSettings, postgresql: PostgreSQL) -> None:
    finding = about("database", examine(on(settings, postgresql.url("missing"))))
    assert finding.state is State.BROKEN
    assert 'database "missing" does not exist' in finding.found
    assert "createdb" in finding.remedy


def test_a_stopped_postgresql_is_told(settings: ControlPlaneSettings) -> None:
    url = f"postgresql+psycopg://u:secret@127.0.0.1:{find_free_port()}/streamswarm"
    finding = about("database", examine(on(settings, url)))
    assert finding.state is State.BROKEN
    assert "Connection refused" in finding.found
    assert "secret" not in finding.found
    assert "start PostgreSQL there" in finding.remedy


def test_a_password_that_postgresql_refuses_is_told(
    settings: ControlPlaneSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_program("postgres") is None:
        leave_out(MISSING)
    port = find_free_port()
    monkeypatch.setenv("PGPORT", str(port))
    with run_postgresql(listen_addresses="127.0.0.1", fsync="off") as server:
        (server.folder / "data/pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.process.send_signal(signal.SIGHUP)
        url = f"postgresql+psycopg://streamswarm:wrong@127.0.0.1:{port}/postgres"
        finding = eventually(lambda: about("database", examine(on(settings, url))), lambda one: "password" in one.found)
    assert finding.state is State.BROKEN
    assert "password authentication failed" in finding.found
    assert "wrong" not in finding.found
    assert finding.remedy == "correct the password in STREAMSWARM_CONTROLPLANE_DATABASE_URL"
