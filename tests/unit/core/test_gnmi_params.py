import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from streamswarm_core.probespecs import GnmiParams


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"groups": []}, "asks for nothing"),
        ({"username": "admin"}, "username and key go together"),
        ({"key": "switches"}, "username and key go together"),
        ({"certificate_file": "/a.pem"}, "certificate_key_file"),
        ({"insecure": True, "ca_file": "/ca.pem"}, "insecure does without TLS"),
        ({"leaves": {"fan": "/a//b"}}, "is no gNMI path"),
        ({"leaves": {"fan": "/"}}, "names nothing"),
        ({"leaves": {"a fan": "/a"}}, "should match pattern"),
        ({"password": "x"}, "Extra inputs"),
        ({"max_interfaces": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason.replace("[", r"\[")):
        GnmiParams.model_validate(options)


def test_a_leaf_may_be_a_bare_path_and_lists_may_be_typed_with_commas() -> None:
    params = GnmiParams.model_validate(
        {"leaves": {"fan": "/fan/speed"}, "interfaces": "Ethernet1, Ethernet2", "groups": "interfaces"}
    )
    assert (params.leaves["fan"].path, params.leaves["fan"].counter) == ("/fan/speed", False)
    assert (params.interfaces, params.groups) == (("Ethernet1", "Ethernet2"), ("interfaces",))


def test_the_example_in_the_docs_is_accepted() -> None:
    page = (Path(__file__).parents[3] / "docs/gnmi.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    params = GnmiParams.model_validate(json.loads(example)["params"])
    assert params.leaves["ntp_drops"].counter
