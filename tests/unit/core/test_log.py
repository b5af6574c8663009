import io
import json
import logging
import sys
from typing import Literal

import pytest

from streamswarm_core import log

FORGED = "the server says: no\r\n2026-01-01T00:00:00Z agent INFO all is well\x1b[2J\x9b31m"


def logged(style: Literal["text", "json"], monkeypatch: pytest.MonkeyPatch) -> str:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.configure("agent", style=style)
        try:
            int(FORGED)
        except ValueError:
            logging.getLogger("x").exception("%s", FORGED)
    finally:
        root.handlers[:], root.level = handlers, level
    return written.getvalue()


def test_a_message_is_one_line_whatever_it_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *trace = logged("text", monkeypatch).splitlines()
    assert first.endswith(r"the server says: no\n2026-01-01T00:00:00Z agent INFO all is well\x1b[2J\x9b31m")
    assert trace[0].startswith("Traceback")
    assert not set("".join(trace)) & set("\x1b\x9b")


def test_json_stays_one_document_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = logged("json", monkeypatch).splitlines()
    assert json.loads(line)["message"] == FORGED
