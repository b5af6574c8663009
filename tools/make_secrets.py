#!/usr/bin/env python3
"""Make the secrets that docker-compose.yml hands to its services, and .env, which says what runs.

    python3 tools/make_secrets.py [FOLDER]

What is there stays, so it can be run again. Needs nothing but Python. The folder is for its owner only; the files in
it can be read by all, because Compose mounts them as they are and each service has a user of its own.
"""

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = """\
# What runs: core (InfluxDB 2), full (and Prometheus), victoriametrics, influxdb3.
COMPOSE_PROFILES=full
# Where the collector sends points: influxdb, victoriametrics, influxdb3; to be changed with the profile.
STREAMSWARM_STORE=influxdb
# With victoriametrics, results are read from it:
# STREAMSWARM_STORE_KIND=promql
# STREAMSWARM_STORE_URL=http://victoriametrics:8428
# STREAMSWARM_PROMETHEUS_URL=http://victoriametrics:8428
# The address that ports are published on, and how browsers and agents reach the control plane:
# STREAMSWARM_BIND=0.0.0.0
# STREAMSWARM_PUBLIC_URL=https://streamswarm.example.com
# STREAMSWARM_SECURE_COOKIES=true
"""


def password() -> str:
    """128 random bits that can stand in a URL."""
    return secrets.token_hex(16)


def token(kind: str) -> str:
    """A secret of ours: 256 random bits behind a prefix that says what it is for."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def sink(name: str, url: str, secret: str, org: str = "") -> str:
    """The collector's setting `sinks`: one store."""
    return json.dumps([{"name": name, "url": url, "api": "v2", "org": org, "token": secret}])


def wanted(kept: Mapping[str, str]) -> dict[str, str]:
    """Every secret by the name of its file; of those that are kept already, as they are."""
    made = {
        "admin_password": password(),
        "collector_token": token("sst"),
        "enrolment_token": token("sse"),
        "grafana_password": password(),
        "grafana_token": token("sst"),
        "influxdb3_token": f"apiv3_{secrets.token_urlsafe(48)}",
        "influxdb_admin_token": secrets.token_urlsafe(48),
        "influxdb_password": password(),
        "ml_token": token("sst"),
        "postgres_password": password(),
        "probe_token": secrets.token_urlsafe(32),
        "prometheus_token": token("sst"),
    } | dict(kept)
    derived = {
        "database_url": f"postgresql+psycopg://streamswarm:{made['postgres_password']}@postgres:5432/streamswarm",
        "influxdb3_admin_token": json.dumps({"token": made["influxdb3_token"], "name": "_admin"}),
        "sinks_cluster": sink("cluster", "http://vminsert:8480/insert/0/influx", ""),
        "sinks_influxdb": sink("influxdb", "http://influxdb:8086", made["influxdb_admin_token"], "streamswarm"),
        "sinks_influxdb3": sink("influxdb3", "http://influxdb3:8181", made["influxdb3_token"]),
        "sinks_victoriametrics": sink("victoriametrics", "http://victoriametrics:8428", ""),
    }
    return made | derived


def main() -> None:
    """Write what is missing."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "secrets")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    kept = {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir() if path.is_file()}
    new = {name: value for name, value in wanted(kept).items() if kept.get(name) != value}
    for name, value in new.items():
        path = folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(value + "\n", encoding="utf-8")
        path.chmod(0o444)
    print(f"{folder}: {len(new)} secrets made, {len(kept)} were there")
    environment = folder.parent / ".env"
    if not environment.exists():
        environment.write_text(ENVIRONMENT, encoding="utf-8")
        print(f"{environment}: written; it says what runs")
    print(
        f"first login: admin / {(folder / 'admin_password').read_text(encoding='utf-8').strip()} (to be changed then)"
    )


if __name__ == "__main__":
    main()
