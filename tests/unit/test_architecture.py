import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = {
    "streamswarm_agent": "agent",
    "streamswarm_collector": "collector",
    "streamswarm_controlplane": "controlplane",
    "streamswarm_ml": "mlservice",
}
TOO_HEAVY_FOR_AN_AGENT = {"pandas", "numpy", "duckdb", "sklearn", "river", "fastapi", "sqlalchemy"}


def imports_of(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.split(".")[0]


def imported_of_tests(folder: Path) -> Iterator[tuple[str, str]]:
    """What Python files import of the package `tests`: file, and module with the name that is taken from it."""
    for path in folder.rglob("*.py"):
        place = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((place, alias.name) for alias in node.names if alias.name.split(".")[0] == "tests")
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{place}: name the module from the root"
                module = node.module or ""
                if module.split(".")[0] == "tests":
                    yield from ((place, f"{module}.{alias.name}") for alias in node.names)


def is_of_a_test_module(imported: str) -> bool:
    """Whether a module is one of tests, `test_*.py`, or a name is taken from such a one."""
    parts = imported.split(".")
    return any(
        (ROOT.joinpath(*parts[:end])).with_suffix(".py").name.startswith("test_")
        and (ROOT.joinpath(*parts[:end])).with_suffix(".py").is_file()
        for end in range(2, len(parts) + 1)
    )


def test_no_module_imports_a_test_module() -> None:
    imports = [one for folder in ("tests", "benchmarks") for one in imported_of_tests(ROOT / folder)]
    assert len(imports) > 100
    assert not [one for one in imports if is_of_a_test_module(one[1])], "share it in a conftest or a support module"


def test_benchmarks_take_no_fixtures_from_tests() -> None:
    imports = list(imported_of_tests(ROOT / "benchmarks"))
    assert imports
    assert not [one for one in imports if "conftest" in one[1].split(".")], "share it in a support module"


@pytest.mark.parametrize("package", SERVICES)
def test_a_service_imports_core_and_never_another_service(package: str) -> None:
    others = (set(SERVICES) | {"streamswarm_cli"}) - {package}
    offenders = [(str(path), name) for path, name in imports_of(ROOT / SERVICES[package]) if name in others]
    assert not offenders


def test_core_imports_no_service() -> None:
    assert not [name for _, name in imports_of(ROOT / "core") if name in SERVICES or name == "streamswarm_cli"]


def test_the_agent_stays_light() -> None:
    found = {
        (path, name)
        for folder in ("agent", "core")
        for path, name in imports_of(ROOT / folder)
        if name in TOO_HEAVY_FOR_AN_AGENT
    }
    # The one module for services that have pandas; the next test holds that nothing brings it in unasked.
    assert {path for path, _ in found} == {ROOT / "core/streamswarm_core/reader/frames.py"}


@pytest.mark.parametrize("package", ["streamswarm_core.reader", "streamswarm_agent.main"])
def test_importing_the_reader_or_the_agent_brings_no_pandas(package: str) -> None:
    program = f"import sys, {package}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    # numpy isn't ours to keep out: influxdb-client takes it where it is installed.
    assert not set(loaded) & (TOO_HEAVY_FOR_AN_AGENT - {"numpy"})


def test_the_agents_lock_is_as_light_as_its_imports() -> None:
    locked = {
        line.split("==")[0] for line in (ROOT / "requirements-agent.lock").read_text().splitlines() if "==" in line
    }
    # influxdb-client brings neither; a heavy package here would mean that an extra has grown.
    assert not locked & TOO_HEAVY_FOR_AN_AGENT


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "requirements-agent.lock", "requirements-gnmi.lock", "requirements-dev.lock"]
)
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert text.count("--hash=sha256:") >= text.count("==")
