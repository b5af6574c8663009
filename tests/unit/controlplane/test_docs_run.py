"""The examples of docs/api.md and docs/cli.md do what they say, as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.unit.controlplane.conftest import PASSWORD, Client, enrol_agent
from tests.unit.controlplane.shell import Shell

pytestmark = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")

DOCS: Final = Path(__file__).resolve().parents[3] / "docs"
# What a reader has of their own; jq as far as the examples go.
TOOLS: Final = f"""\
uuidgen() {{ {sys.executable} -c 'import uuid; print(uuid.uuid4())'; }}
jq() {{ {sys.executable} -c '
import json, re, sys
found = json.load(sys.stdin)
for name, number in re.findall(r"[.](\\w+)|\\[(\\d+)\\]", sys.argv[2]):
    found = found[name] if name else found[int(number)]
print(found)' "$@"; }}
"""
FILES: Final = {
    "tests.yaml": "key: branch-office\nname: Branch office\nprobe: icmp\ntarget: 192.0.2.2\n",
    "limits.yaml": "- {field: rtt_mean, warn: 0.05, bad: 0.2}\n",
    "sites.csv": "name,latitude,longitude,address\nparis,48.85,2.35,Rue de Rivoli 1\n",
}
AGENTS: Final = ("berlin-1", "berlin-2", "paris-1")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.needs("curl", "curl")
def test_the_examples_of_the_api_run(admin: Client, tmp_path: Path) -> None:
    agent, _ = enrol_agent(admin)
    token = admin.http.post("/auth/tokens", json={"name": "docs", "scope": "admin"}).json()["token"]
    examples = "".join(blocks("api.md", "sh"))
    for placeholder, value in {
        "http://HOST:8800": admin.url,
        '"…"': f'"{PASSWORD}"',
        "agents/ID/": f"agents/{agent}/",
    }.items():
        assert placeholder in examples
        examples = examples.replace(placeholder, value)
    (tmp_path / ".curlrc").write_text("silent\nfail-with-body\nnoproxy = *\n")
    done = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", TOOLS + examples],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "CURL_HOME": str(tmp_path), "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert admin.http.get(f"/agents/{agent}").json()["draining"] is True
    assert [site["name"] for site in admin.http.get("/sites").json()["items"]] == ["berlin"]
    assert admin.http.get("/tests").json()["items"] == []
    assert admin.http.get("/audit", params={"action": "test.update"}).json()["items"][0]["after"]["interval"] == 10


def test_the_examples_of_the_command_line_run(shell: Shell, admin: Client) -> None:
    for name in AGENTS:
        enrol_agent(admin, name)
    for name, text in FILES.items():
        (shell.home / name).write_text(text)
    (shell.home / "noc.yaml").write_text(blocks("cli.md", "yaml")[0])
    _login, *examples = blocks("cli.md", "sh")
    run = 0
    for line in "".join(examples).splitlines():
        command, redirected, target = line.split(" | ")[0].partition(" > ")
        words = shlex.split(command, comments=True)
        assert words[:2] == ["streamswarm", "admin"], line
        done = shell.run(*words[2:])
        assert done.returncode == (1 if "--dry-run" in words else 0), f"{line}\n{done.stderr}"
        if redirected:
            (shell.home / target.split()[0]).write_text(done.stdout)
        run += 1
    assert run > 20
    assert [test["key"] for test in admin.http.get("/tests").json()["items"]] == ["head-office"], "--prune came last"
