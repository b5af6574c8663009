"""What holds for the description of every operation; a new one is tested by being there."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from streamswarm_controlplane.app import describe

Operations = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    """Made here and not at import, where each of pytest-xdist's workers would spend a second and a half on it."""
    return describe()


@pytest.fixture(scope="module")
def operations(description: dict[str, Any]) -> Operations:
    return {
        f"{method.upper()} {path}": operation
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON bodies that are sent and answered."""
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    for place in (operation.get("requestBody", {}), *answers):
        yield from (one for kind, one in place.get("content", {}).items() if kind == "application/json")


def test_every_error_is_described_as_a_problem_document(operations: Operations, description: dict[str, Any]) -> None:
    for name, operation in operations.items():
        errors = {status: one for status, one in operation["responses"].items() if status.startswith(("4", "5"))}
        assert {"422", "500", "503"} <= set(errors), name
        for status, error in errors.items():
            described = description["components"]["responses"][error["$ref"].rpartition("/")[2]]
            content = described["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, name
            assert content["example"]["status"] == int(status), name


def test_every_body_has_an_example_that_fits_it(operations: Operations, description: dict[str, Any]) -> None:
    for name, operation in operations.items():
        for content in contents(operation):
            schema = {**content["schema"], "components": description["components"]}
            wrong = Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(content["example"])
            assert not list(wrong), name


def test_every_body_that_is_sent_has_an_example_written_by_a_person(
    operations: Operations, description: dict[str, Any]
) -> None:
    for operation in operations.values():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "$ref" in content["schema"]:
                model = content["schema"]["$ref"].rpartition("/")[2]
                examples = description["components"]["schemas"][model].get("examples")
                assert examples, f"{model}: give its model_config examples"


def test_every_tag_and_security_scheme_is_described(operations: Operations, description: dict[str, Any]) -> None:
    for name, operation in operations.items():
        tags = {tag["name"]: tag["description"] for tag in description["tags"]}
        for tag in operation["tags"]:
            assert tags[tag] != tag, f"{name}: {tag}: describe it in openapi.py"
        schemes = description["components"]["securitySchemes"]
        assert all(scheme in schemes for one in operation["security"] for scheme in one), name


def test_every_parameter_is_described_and_can_not_be_null(operations: Operations) -> None:
    for name, operation in operations.items():
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter.get("description"), (name, parameter["name"])
            assert {"type": "null"} not in parameter["schema"].get("anyOf", []), (name, parameter["name"])


def test_what_needs_a_role_says_so(operations: Operations) -> None:
    assert operations["GET /api/v1/users"]["x-role"] == "admin"
    assert operations["POST /api/v1/users"]["security"] == [{"session": [], "csrf": []}, {"token": []}]
    assert operations["POST /api/v1/auth/password"]["security"] == [{"session": [], "csrf": []}]
    assert operations["GET /api/v1/agent/assignments"]["security"] == [{"agent": []}]
    assert operations["GET /api/v1/keys"]["security"] == []


def test_lists_entity_tags_and_replays_are_described(operations: Operations) -> None:
    one = operations["GET /api/v1/tests/{test_id}"]["responses"]
    assert "ETag" in one["200"]["headers"]
    assert "304" in one
    assert "412" in operations["PATCH /api/v1/tests/{test_id}"]["responses"]
    assert "Idempotent-Replayed" in operations["POST /api/v1/tests"]["responses"]["201"]["headers"]


def test_generators_of_clients_can_make_something_of_every_schema(description: dict[str, Any]) -> None:
    """openapi-python-client leaves out what has an object for a default, and with it the call that sends it."""
    schemas = description["components"]["schemas"]
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
    assert description["servers"]
    assert description["info"]["license"]
