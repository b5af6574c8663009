"""How long a refused login takes, of a user that exists and of one that doesn't.

    python -m benchmarks.logins

A control plane of its own on loopback, 60 logins of each kind in turn, each pair from another address.
"""

import statistics
import tempfile
import time
from pathlib import Path

import httpx
from tests.support import serve_app

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings

ROUNDS = 60
KINDS = {"wrong password": "admin", "unknown user": "nobody"}


def main() -> None:
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        settings = ControlPlaneSettings(data=Path(folder), trusted_proxies=["127.0.0.1/32"], login_free_tries=100)
        bootstrap(settings)
        with serve_app(create_app(settings)) as url, httpx.Client(base_url=url, timeout=20) as client:
            for number in range(ROUNDS + 2):
                for kind, username in KINDS.items():
                    headers = {"X-Forwarded-For": f"198.51.100.{number}"}
                    begun = time.perf_counter()
                    answer = client.post(
                        "/api/v1/auth/login", json={"username": username, "password": "x"}, headers=headers
                    )
                    if answer.status_code != httpx.codes.UNAUTHORIZED:
                        raise SystemExit(f"{kind}: {answer.text}")
                    took[kind].append(time.perf_counter() - begun)
    print("| refused login | median | 10 % | 90 % |")
    print("| --- | --- | --- | --- |")
    for kind, seconds in took.items():
        tenths = statistics.quantiles(seconds[2:], n=10)
        print(f"| {kind} | {tenths[4] * 1e3:.1f} ms | {tenths[0] * 1e3:.1f} ms | {tenths[8] * 1e3:.1f} ms |")
    medians = [statistics.median(seconds[2:]) for seconds in took.values()]
    print(f"ratio of the medians: {medians[1] / medians[0]:.3f}")


if __name__ == "__main__":
    main()
