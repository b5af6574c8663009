import asyncio
import io
import json
import logging
import os
import sys
import threading
from typing import Literal

import httpx
import pytest
from starlette.applications import Starlette

from streamswarm_core import log
from tests.support import log_put_back, serve_app

FORGED = "the server says: no\r\n2026-01-01T00:00:00Z agent INFO all is well\x1b[2J\x9b31m"


def logged(style: Literal["text", "json"], monkeypatch: pytest.MonkeyPatch) -> str:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with log_put_back():
        log.configure("agent", style=style)
        try:
            int(FORGED)
        except ValueError:
            logging.getLogger("x").exception("%s", FORGED)
    return written.getvalue()


def test_a_message_is_one_line_whatever_it_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *trace = logged("text", monkeypatch).splitlines()
    assert first.endswith(r"the server says: no\n2026-01-01T00:00:00Z agent INFO all is well\x1b[2J\x9b31m")
    assert trace[0].startswith("Traceback")
    assert not set("".join(trace)) & set("\x1b\x9b")


def test_json_stays_one_document_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = logged("json", monkeypatch).splitlines()
    assert json.loads(line)["message"] == FORGED


def test_what_lasts_is_logged_once_a_minute_and_mistakes_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with log_put_back():
        log.configure("agent")
        for _ in range(5):
            for peer in ("one", "two"):
                logging.getLogger("x").warning("%s is away", peer)
            logging.getLogger("x").error("the disk is full")
            logging.getLogger("x").error("a mistake", exc_info=ValueError())
            logging.getLogger("x").info("it goes on")
    lines = written.getvalue()
    counts = [lines.count(text) for text in ("one is away", "two is away", "disk is full", "a mistake", "it goes on")]
    assert counts == [1, 1, 1, 5, 5]


def test_a_log_that_nobody_reads_stops_nobody_and_says_later_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with log_put_back(), os.fdopen(reading) as reader, os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        log.configure("agent")

        def measure() -> None:
            for number in range(2000):
                logging.getLogger("x").info("run %d of %s", number, "ä" * 100)
            logging.getLogger("x").info("%s", "a traceback as long as this " * 10_000)

        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        thread.join(30)
        stopped = thread.is_alive()
        os.set_blocking(reading, False)
        first = reader.read()
        logging.getLogger("x").info("read again")
        *_, note, last = reader.read().splitlines()
        assert not stopped
        runs = first.count(" run ")
        assert 0 < runs < 2000
        assert f"WARNING nobody read the log; left out here: {2001 - runs}" in note
        assert last.endswith("read again")


def test_a_record_longer_than_a_pipe_is_cut_and_the_next_begins_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with log_put_back(), os.fdopen(reading) as reader, os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        log.configure("agent")
        os.set_blocking(writing, False)  # to fail where it would wait
        logging.getLogger("x").info("x" * 1_000_000)
        os.set_blocking(reading, False)
        assert len(reader.read()) > 1000
        logging.getLogger("x").info("read again")
        rest, note, last = reader.read().splitlines()
        assert rest == ""
        assert note.endswith("left out here: 1")
        assert last.endswith("read again")


def test_what_strangers_can_cause_at_will_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(url: str) -> None:
        target = httpx.URL(url)
        for _ in range(20):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            writer.write(b"no HTTP at all\r\n\r\n")
            await reader.read()
            writer.close()

    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    try:
        with log_put_back():
            log.configure("agent")
            with serve_app(Starlette()) as url:
                asyncio.run(ask(url))
    finally:
        logging.getLogger("uvicorn.error").filters.clear()
    assert written.getvalue().count("Invalid HTTP request received.") == 1
    assert "Started server process" in written.getvalue()
