"""A password in a URL is in nothing that others read."""

import io
import json
import logging
import sys

import pytest

from streamswarm_core import log
from streamswarm_core.doctor.peers import control_plane
from streamswarm_core.doctor.storing import reads
from streamswarm_core.errors import Unavailable
from streamswarm_core.reader import InfluxQLReader, StoreSettings
from streamswarm_core.writer import LineWriter
from tests.support import find_free_port, log_put_back


@pytest.fixture
def away() -> str:
    return f"http://kim:hush@hush@127.0.0.1:{find_free_port()}"


class Settings(StoreSettings, table="ml"):
    """Of somebody who reads."""


def test_it_is_in_no_error(away: str) -> None:
    with LineWriter(away, lambda: "t", bucket="b") as writer, pytest.raises(Unavailable) as unsent:
        writer.write(b"m f=1 1\n")
    with InfluxQLReader(away, database="b") as reader, pytest.raises(Unavailable) as unread:
        reader.measurements()
    for told in (unsent, unread):
        assert "http://kim:********@127.0.0.1:" in str(told.value)
        assert "hush" not in repr(told.value)


def test_it_is_in_nothing_that_the_doctor_or_the_settings_show(away: str) -> None:
    settings = Settings(store_url=away)
    findings = [*control_plane(away, "X"), reads(settings, str, "")]
    for shown in (*(finding.found for finding in findings), settings.effective()["store_url"]):
        assert "kim:********@127.0.0.1" in shown
        assert "hush" not in shown


@pytest.mark.parametrize("style", ["text", "json"])
def test_it_is_in_no_log(away: str, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with log_put_back():
        log.configure("agent", style="json" if style == "json" else "text")
        try:
            int(away)
        except ValueError:
            logging.getLogger("x").exception("%s is away", away)
    lines = written.getvalue()
    assert lines.count("kim:********@127.0.0.1") == 2
    assert "hush" not in lines
    if style == "json":
        assert json.loads(lines)["level"] == "error"
