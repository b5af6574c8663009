import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = {
    "streamswarm_agent": "agent",
    "streamswarm_collector": "collector",
    "streamswarm_controlplane": "controlplane",
    "streamswarm_ml": "mlservice",
}
FOLDERS = {**SERVICES, "streamswarm_cli": "cli", "streamswarm_core": "core", "streamswarm_grafana": "grafana"}
ABOVE = {
    "streamswarm_core.catalogue": ("streamswarm_core.probespecs", "streamswarm_core.reader", "streamswarm_core.writer"),
    "streamswarm_core.wire": ("streamswarm_core.catalogue", "streamswarm_core.reflector", "streamswarm_core.reader"),
    "streamswarm_agent.net": ("streamswarm_agent.probes", "streamswarm_agent.schedule", "streamswarm_agent.blackbox"),
    "streamswarm_agent.host": ("streamswarm_agent.probes", "streamswarm_agent.schedule"),
    "streamswarm_agent.probes": ("streamswarm_agent.schedule", "streamswarm_agent.spool", "streamswarm_agent.exporter"),
    "streamswarm_collector.store": ("streamswarm_collector.influxql", "streamswarm_collector.pipeline"),
    "streamswarm_collector.influxql": ("streamswarm_collector.routes", "streamswarm_collector.pipeline"),
    "streamswarm_collector.sinks": ("streamswarm_collector.influxql", "streamswarm_collector.pipeline"),
    "streamswarm_ml.detectors": ("streamswarm_ml.pipeline", "streamswarm_ml.watched", "streamswarm_core.reader"),
}
"""What would be upward: a package, and who is built upon it."""
TOO_HEAVY_FOR_AN_AGENT = {"pandas", "numpy", "duckdb", "sklearn", "river", "fastapi", "sqlalchemy"}


def imports_of(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.split(".")[0]


def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    found = {}
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imported_modules(name: str, *, whole: bool = True) -> set[str]:
    """What a module imports of the product's modules: anywhere in it, or only as it is imported itself."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {node.module}
    return found & MODULES.keys()


def is_in(name: str, *packages: str) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


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


@pytest.mark.parametrize("folder", ["core", "grafana"])
def test_what_services_share_imports_no_service(folder: str) -> None:
    assert not [name for _, name in imports_of(ROOT / folder) if name in SERVICES or name == "streamswarm_cli"]


def test_the_command_imports_a_service_only_when_it_is_used() -> None:
    offenders = {name: imported_modules(name, whole=False) for name in MODULES if is_in(name, "streamswarm_cli")}
    assert not {name: found for name, found in offenders.items() if any(is_in(one, *SERVICES) for one in found)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {name: imported_modules(name, whole=False) for name in MODULES}
    while beneath := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in beneath}
    assert not left, "these, or what they need, are in a circle"


@pytest.mark.parametrize("package", ABOVE)
def test_a_package_imports_nothing_that_is_built_upon_it(package: str) -> None:
    inside = [name for name in MODULES if is_in(name, package)]
    assert inside
    assert not [(name, one) for name in inside for one in imported_modules(name) if is_in(one, *ABOVE[package])]


def test_models_know_no_service_and_services_know_no_routes() -> None:
    """In the control plane; routes are put together by app.py alone."""
    ours = [name for name in MODULES if is_in(name, "streamswarm_controlplane")]
    last = {name: name.rpartition(".")[2] for name in ours}
    upward = [
        (name, one)
        for name in ours
        for one in imported_modules(name) & last.keys()
        if (last[one].endswith("routes") and not last[name].endswith("routes") and last[name] != "app")
        or (last[name] == "models" and last[one] in {"service", "schemas", "deps"})
    ]
    assert not upward


def test_the_agent_stays_light() -> None:
    found = {
        (path, name)
        for folder in ("agent", "core")
        for path, name in imports_of(ROOT / folder)
        if name in TOO_HEAVY_FOR_AN_AGENT
    }
    # The one module for services that have pandas; the next test holds that nothing brings it in unasked.
    assert {path for path, _ in found} == {ROOT / "core/streamswarm_core/reader/frames.py"}


# numpy isn't ours to keep out: influxdb-client takes it where it is installed.
@pytest.mark.parametrize(
    ("package", "left_out"),
    [
        ("streamswarm_core.reader", TOO_HEAVY_FOR_AN_AGENT - {"numpy"}),
        ("streamswarm_agent.main", TOO_HEAVY_FOR_AN_AGENT - {"numpy"}),
        ("streamswarm_controlplane.main", {"streamswarm_controlplane.app"}),
        ("streamswarm_ml.app", {"pandas", "sqlalchemy"}),
        ("streamswarm_cli.main", {"httpx", "pydantic", "uvicorn", "streamswarm_cli.admin"}),
    ],
    ids=["reader", "agent", "controlplane", "ml", "command"],
)
def test_what_takes_long_to_import_is_not_brought_in_unasked(package: str, left_out: set[str]) -> None:
    program = f"import sys, {package}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not set(loaded) & left_out


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
