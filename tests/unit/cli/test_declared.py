"""Files for `streamswarm admin apply` that would do harm, or mean something else than they seem to."""

from pathlib import Path

import pytest

from streamswarm_cli.admin.declared import read
from streamswarm_core.errors import ConfigError

LAUGHS = "tests:\n- a0: &a0 [x]\n" + "".join(
    f"  a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LAUGHS, "it holds more than 1000000 values, with what aliases stand for"),
        ("tests:\n- {name: a, <<: &a {b: {<<: *a}}}\n", "or holds itself"),
        ("tests: &a [*a]\n", "or holds itself"),
        ("tests:\n- {name: x, params: " + "[" * 60 + "]" * 60 + "}\n", "it is nested more than 50 deep"),
        ("tests: " + "[" * 5000 + "]" * 5000, "it is nested too deeply"),
        ('{"tests": ' + "[" * 100_000 + "]" * 100_000 + "}", "it is nested too deeply"),
        ("tests:\n- !!python/object/apply:os.system [id]\n", "is nothing that JSON has"),
        ("tests:\n- {name: !!binary aGVsbG8=}\n", "binary is nothing that JSON has"),
        ("tests:\n- {name: !!set {a, b}}\n", "set is nothing that JSON has"),
        ("tests:\n- {name: x, interval: .inf}\n", ".inf is nothing that JSON has"),
        ("tests:\n- {name: x, labels: {on: x}}\n", "names have to be text; put it in quotes"),
        ("tests:\n- {name: x, interval: " + "9" * 5000 + "}\n", "digits"),
        ("tests: []\nsites: []\ntests: []\n", "tests is written twice"),
        ('{"tests": [{"name": "a", "name": "b"}]}', "name is written twice"),
        ("tests: []\0", "special characters are not allowed"),
    ],
)
def test_what_a_file_must_not_hold_is_refused_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "noc.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        list(read(str(path), ["tests", "sites"]))
    assert complaint in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noc.yaml"
    path.write_text("tests: []", encoding="utf-16")
    with pytest.raises(ConfigError, match="utf-8"):
        list(read(str(path), ["tests"]))


def test_anchors_and_merged_defaults_may_be_used(tmp_path: Path) -> None:
    path = tmp_path / "noc.yaml"
    path.write_text("tests:\n- &ping {name: a, probe: icmp, params: {count: 3}}\n- {<<: *ping, name: b}\n")
    first, second = read(str(path), ["tests"])
    assert second.body == {**first.body, "name": "b"}
    assert second.place("name").endswith("noc.yaml, line 3, tests[1].name")


def test_json_that_is_no_yaml_is_read_without_lines(tmp_path: Path) -> None:
    path = tmp_path / "noc.json"
    path.write_text('{"tests": [{"name": "\x7f"}]}')
    (found,) = read(str(path), ["tests"])
    assert found.place("name").endswith("noc.json, tests[0].name")
