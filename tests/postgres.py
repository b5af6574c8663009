"""A real PostgreSQL for tests and benchmarks: a server of one's own, databases made from templates."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

MISSING = "needs postgres (Debian package postgresql)"
SMALL = {
    # Nothing survives the test, so nothing needs to reach the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "120",
    "autovacuum": "off",
}
"""For tests: quick and small."""
START_SECONDS = 60
STOP_SECONDS = 20


def find_program(name: str) -> Path | None:
    """A program of the newest PostgreSQL: in the PATH, or where Debian has the server's programs."""
    found = shutil.which(name)
    if found:
        return Path(found)
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return installed[-1] if installed else None


@dataclass(frozen=True)
class PostgreSQL:
    """A running server that listens on a socket in `folder` only."""

    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://streamswarm@/{database}?host={self.folder}"

    def new_database(self, template: str = "template0") -> str:
        """Make a database that holds what the template holds; returns its name."""
        name = f"db_{uuid.uuid4().hex[:12]}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, and end the connections that are left."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composed, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside of a transaction; returns its rows."""
        with psycopg.connect(host=str(self.folder), dbname=database, user="streamswarm", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def run_postgresql(**settings: str) -> Iterator[PostgreSQL]:
    """An empty server until the block ends; `settings` are lines of postgresql.conf.

    PostgreSQL refuses to run as root, so root runs it as `postgres` or `nobody`.

    Raises:
        RuntimeError: the programs are missing, or it did not start; with the end of its log.
    """
    initdb, postgres = find_program("initdb"), find_program("postgres")
    if initdb is None or postgres is None:
        raise RuntimeError(MISSING)
    # pytest's folders are their owner's only, and a socket's path may have no more than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="sspg-", dir="/tmp"))
    try:
        as_user = _ordinary_user()
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        data = folder / "data"
        made = subprocess.run(
            [
                initdb,
                f"--pgdata={data}",
                "--username=streamswarm",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
                *_sorting(initdb),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **as_user,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
        options = {"listen_addresses": "", "unix_socket_directories": str(folder), **(settings or SMALL)}
        command = [str(postgres), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **as_user)
        server = PostgreSQL(folder, process)
        try:
            _wait(server, log)
            yield server
        finally:
            # SIGINT is PostgreSQL's fast shutdown: it doesn't wait for clients.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sorting(initdb: Path) -> list[str]:
    """Sort as people do, as most installations have it, and not by bytes, as SQLite does; since PostgreSQL 15."""
    said = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=True).stdout
    old = int(re.findall(r"\d+", said)[0]) < 15
    return ["--locale=C"] if old else ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]


def _ordinary_user() -> dict[str, Any]:
    """What makes a child process an ordinary user's; nothing if we are one."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _wait(server: PostgreSQL, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            server.execute(sql.SQL("SELECT 1").format())
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start; exit code {server.process.poll()}; log:\n{log.read_text()[-4000:]}")
