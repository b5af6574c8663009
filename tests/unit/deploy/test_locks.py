"""Each service with the packages of its own lock file only, as its image has them."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from streamswarm_cli.services import SERVICES

ROOT: Final = Path(__file__).parents[3]
IMPORT_ALL: Final = """
import importlib.abc, importlib.metadata, pkgutil, re, sys

lock, package, left_out = sys.argv[1:]
named = [re.sub("[-_.]+", "-", line.partition("==")[0]).lower() for line in open(lock) if re.match(r"\\S+==", line)]
kept = {"streamswarm", *named}
absent = {
    module
    for module, owners in importlib.metadata.packages_distributions().items()
    if not kept & {re.sub("[-_.]+", "-", owner).lower() for owner in owners}
}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"not in {lock}: {name}", name=name)

sys.meta_path.insert(0, Absent())
from streamswarm_cli.main import COMMANDS
for place in COMMANDS.values():
    importlib.import_module(place.partition(":")[0])
for one in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if not re.search(left_out, one.name):
        importlib.import_module(one.name)
"""
ALONE: Final = r"\.migrations\.|__main__"


@pytest.mark.parametrize(
    ("lock", "service", "left_out"),
    [*((name, name, rf"{ALONE}|_agent\.gnmi\.") for name in SERVICES), ("gnmi", "agent", ALONE)],
    ids=[*SERVICES, "agent-with-gnmi"],
)
def test_a_service_needs_no_more_than_its_lock_file_holds(lock: str, service: str, left_out: str) -> None:
    asked = [str(ROOT / f"requirements-{lock}.lock"), SERVICES[service].package, left_out]
    said = subprocess.run([sys.executable, "-c", IMPORT_ALL, *asked], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
