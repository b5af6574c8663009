"""`make dashboards`: write what is made from the catalogue, or with --check say which file is not as it says."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from streamswarm_grafana.alerts import grafana_files, prometheus_files
from streamswarm_grafana.assemble import dashboard, to_json
from streamswarm_grafana.boards import BOARDS
from streamswarm_grafana.dialects import DIALECTS

_HEAD: Final = "# Made by make dashboards from grafana/streamswarm_grafana; edit that instead.\n"
ROOT: Final = Path(__file__).parents[2]


def generated() -> Iterator[tuple[Path, str]]:
    """Every file, relative to the repository, and its text."""
    for dialect in DIALECTS:
        for board in BOARDS:
            yield Path(f"grafana/dashboards/{dialect.name}/{board.key}.json"), to_json(dashboard(board, dialect))
    for name, content in (
        ("grafana/alerting/rules.yml", grafana_files.rules()),
        ("grafana/alerting/contact-points.yml", grafana_files.contact_points()),
        ("grafana/alerting/policies.yml", grafana_files.policies()),
        ("grafana/datasources/streamswarm.yml", grafana_files.data_sources()),
        ("grafana/dashboards/streamswarm.yml", grafana_files.providers()),
        ("prometheus/rules/streamswarm.yml", prometheus_files.rules()),
    ):
        yield (
            Path("provisioning") / name,
            _HEAD + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True),
        )


def stale(root: Path = ROOT) -> list[str]:
    """What differs from the source: files missing, changed, or left over."""
    wanted = dict(generated())
    wrong = [
        str(path)
        for path, text in wanted.items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]
    left = (root / "grafana/dashboards").rglob("*.json")
    return wrong + [str(path.relative_to(root)) for path in left if path.relative_to(root) not in wanted]


def write(root: Path = ROOT) -> None:
    """Write all files, and delete dashboards that are no more."""
    for path in (root / "grafana/dashboards").rglob("*.json"):
        path.unlink()
    for path, text in generated():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a file is not as the source says"
    )
    if not parser.parse_args().check:
        write()
        return 0
    wrong = stale()
    for path in wrong:
        sys.stderr.write(f"{path} is not what its source says: run make dashboards\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
