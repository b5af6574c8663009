"""The documentation's links lead somewhere, what it names is there, and every page is reached from the first."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamswarm_cli.services import SERVICES
from streamswarm_core.settings import variable_name

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of each link to a file of ours."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            file, _, anchor = target.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


def anchors_of(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for file, anchor in links_of(page):
        assert file.exists(), f"{page.name} links to {file}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), f"{page.name} links to {file.name}#{anchor}"


def test_every_place_that_the_architecture_names_is_there() -> None:
    """`agent/…/runner.py` is short for `agent/streamswarm_agent/runner.py`."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").replace("NAME", "icmp")
    places = [place for place in re.findall(r"`(\w+/[^`\s]*)`", text) if (ROOT / place.split("/")[0]).is_dir()]
    assert len(places) > 40
    assert [place for place in places if not any(ROOT.glob(place.replace("…", "streamswarm_*")))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_and_targets_of_make_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    modules = set(re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)+)", text))
    assert {module for module in modules if importlib.util.find_spec(module) is None} == set()
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]+)", text, flags=re.MULTILINE))
    targets = set(re.findall(r"^([a-z][a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named <= targets


def test_every_variable_that_the_docs_name_is_a_setting_or_one_of_a_file_of_ours() -> None:
    models = [service.settings_model() for service in SERVICES.values()]
    settings = {variable_name(model, field) for model in models for field in model.model_fields}
    # What Compose, Grafana and the command line take for themselves.
    others = [*ROOT.glob("docker-compose*.yml"), *(ROOT / "provisioning").rglob("*.yml"), *(ROOT / "cli").rglob("*.py")]
    known = settings | {f"{name}_FILE" for name in settings} | {"STREAMSWARM_CONFIG"}
    known |= {name for file in others for name in variables_of(file)}
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        # `STREAMSWARM_AGENT_…` stands for all that begin so.
        unknown = {name for name in variables_of(page) if not any(one.startswith(name) for one in known)}
        assert not unknown, page.name


def variables_of(file: Path) -> set[str]:
    return set(re.findall(r"STREAMSWARM_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8")))


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [file for file, _ in links_of(page) if file.suffix == ".md"]
            waiting += [one for file, _ in links_of(page) if file.is_dir() for one in file.glob("*.md")]
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= reached
