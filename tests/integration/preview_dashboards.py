"""`make dashboards-preview`: fill real stores with the scenario, ask every panel's queries, draw the answers."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from streamswarm_core.clock import NANOSECONDS
from streamswarm_grafana.ask_store import Drawn
from streamswarm_grafana.boards import BOARDS
from streamswarm_grafana.expand import View
from streamswarm_grafana.generate import ROOT
from streamswarm_grafana.preview.page import draw
from streamswarm_grafana.scenario import MINUTES
from tests.integration.dashboard_stores import filled_stores

_LOOKED_AT: Final = {"overview": 84}
"""Minutes into the scenario when a person looks: while something is wrong; the end for the others."""


def main() -> int:
    """Write docs/img/dashboards/*.png."""
    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(timeout=60) as client,
        filled_stores(Path(folder), int(time.time()) // 3600 * 3600 * NANOSECONDS) as stores,
    ):
        wanted = set(sys.argv[1:]) or {board.key for board in BOARDS}
        for key in (board.key for board in BOARDS if board.key in wanted):
            board = json.loads((ROOT / f"grafana/dashboards/influxql/{key}.json").read_text())
            view = View(stores.start_ms, stores.start_ms + _LOOKED_AT.get(key, MINUTES) * 60_000)
            answers: dict[int, list[Drawn]] = {}
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    name = "prometheus" if target["datasource"]["uid"] == "${stack}" else "embedded"
                    found = stores.by_name[name].run(client, target, view, panel["interval"])
                    answers.setdefault(panel["id"], []).extend(found)
            path = ROOT / f"docs/img/dashboards/{key}.png"
            note = "Preview drawn from query results of a made-up fault; not a screenshot of Grafana"
            draw(board, answers, (view.start_ms, view.stop_ms), path, note)
            sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
