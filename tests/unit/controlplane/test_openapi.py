"""What holds for the description of every operation; a new one is tested by being there."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from streamswarm_controlplane.app import describe

DESCRIPTION = describe()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DESCRIPTION["paths"].items()
    for method, operation in operations.items()
]
every_operation = pytest.mark.parametrize(
    "operation", [one for _, one in OPERATIONS], ids=[name for name, _ in OPERATIONS]
)


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON bodies that are sent and answered."""
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    for place in (operation.get("requestBody", {}), *answers):
        yield from (one for kind, one in place.get("content", {}).items() if kind == "application/json")


@every_operation
def test_every_error_is_described_as_a_problem_document(operation: dict[str, Any]) -> None:
    errors = {status: one for status, one in operation["responses"].items() if status.startswith(("4", "5"))}
    assert {"422", "500", "503"} <= set(errors)
    for status, error in errors.items():
        described = DESCRIPTION["components"]["responses"][error["$ref"].rpartition("/")[2]]
        content = described["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert content["example"]["status"] == int(status)


@every_operation
def test_every_body_has_an_example_that_fits_it(operation: dict[str, Any]) -> None:
    for content in contents(operation):
        schema = {**content["schema"], "components": DESCRIPTION["components"]}
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(content["example"])


@every_operation
def test_every_body_that_is_sent_has_an_example_written_by_a_person(operation: dict[str, Any]) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "$ref" in content["schema"]:
            name = content["schema"]["$ref"].rpartition("/")[2]
            assert DESCRIPTION["components"]["schemas"][name].get("examples"), f"{name}: give its model_config examples"


@every_operation
def test_every_tag_and_security_scheme_is_described(operation: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in DESCRIPTION["tags"]}
    for tag in operation["tags"]:
        assert tags[tag] != tag, f"{tag}: describe it in openapi.py"
    schemes = DESCRIPTION["components"]["securitySchemes"]
    assert all(name in schemes for one in operation["security"] for name in one)


@every_operation
def test_every_parameter_is_described_and_can_not_be_null(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        assert parameter["in"] == "path" or parameter.get("description"), parameter["name"]
        assert {"type": "null"} not in parameter["schema"].get("anyOf", [])


def test_what_needs_a_role_says_so() -> None:
    by_name = dict(OPERATIONS)
    assert by_name["GET /api/v1/users"]["x-role"] == "admin"
    assert by_name["POST /api/v1/users"]["security"] == [{"session": [], "csrf": []}, {"token": []}]
    assert by_name["POST /api/v1/auth/password"]["security"] == [{"session": [], "csrf": []}]
    assert by_name["GET /api/v1/agent/assignments"]["security"] == [{"agent": []}]
    assert by_name["GET /api/v1/keys"]["security"] == []


def test_lists_entity_tags_and_replays_are_described() -> None:
    by_name = dict(OPERATIONS)
    one = by_name["GET /api/v1/tests/{test_id}"]["responses"]
    assert "ETag" in one["200"]["headers"]
    assert "304" in one
    assert "412" in by_name["PATCH /api/v1/tests/{test_id}"]["responses"]
    assert "Idempotent-Replayed" in by_name["POST /api/v1/tests"]["responses"]["201"]["headers"]


def test_generators_of_clients_can_make_something_of_every_schema() -> None:
    """openapi-python-client leaves out what has an object for a default, and with it the call that sends it."""
    schemas = DESCRIPTION["components"]["schemas"]
    told = 0
    for schema in schemas.values():
        for one in schema.get("properties", {}).values():
            assert not isinstance(one.get("default"), dict)
            for choice in (one, *one.get("anyOf", ())):
                for kind in choice.get("discriminator", {}).get("mapping", {}).values():
                    named = schemas[kind.rpartition("/")[2]]
                    assert choice["discriminator"]["propertyName"] in named["required"]
                    told += 1
    assert told
    labels = schemas["AgentUpdate"]["properties"]["labels"]
    assert [labels["propertyNames"]["pattern"]] == list(labels["patternProperties"])
    assert schemas["Comparison"]["x-enum-varnames"] == ["ABOVE", "AT_LEAST", "BELOW", "AT_MOST"]
    assert schemas["Matcher"]["properties"]["operator"]["x-enum-varnames"] == ["EQUAL", "NOT_EQUAL", "LIKE"]
    assert DESCRIPTION["servers"]
    assert DESCRIPTION["info"]["license"]
