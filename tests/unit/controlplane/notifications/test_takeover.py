"""Two processes on one database; the one that evaluates is killed."""

import os
import subprocess
import sys
from pathlib import Path

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.jobs.models import Lease
from streamswarm_controlplane.notifications.evaluation import LEASE
from tests.support import eventually, find_free_port

WORKER = """
import sys, time
from pathlib import Path
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.notifications import evaluation
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.reader import InfluxQLReader
evaluation.LEASE_SECONDS = 1.0
settings = ControlPlaneSettings(data=Path(sys.argv[2]), database_url=sys.argv[1], alert_seconds=0.2)
reader = InfluxQLReader(sys.argv[3], database="x")
evaluator = evaluation.Evaluator(Database(settings.database), reader, settings, sys.argv[4])
while True:
    evaluator.evaluate()
    time.sleep(0.1)
"""


def test_a_second_worker_takes_over_when_the_first_is_killed(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    store = f"http://127.0.0.1:{find_free_port()}"

    def start(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", WORKER, database_url, str(tmp_path), store, name]
        return subprocess.Popen(command, env=environment)

    def holder() -> str:
        with database.session() as db:
            lease = db.get(Lease, LEASE)
            return lease.holder if lease else ""

    workers = [start("first")]
    try:
        eventually(holder, lambda name: name == "first", 40)
        workers.append(start("second"))
        workers[0].kill()
        workers[0].wait()
        eventually(holder, lambda name: name == "second", 40)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
