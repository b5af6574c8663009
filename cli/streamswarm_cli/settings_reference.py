"""Writes docs/settings.md from the settings classes of all services, as `streamswarm config show` has them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from streamswarm_cli.services import SERVICES, Service
from streamswarm_core.settings import ServiceSettings, variable_name

_HEADER: Final = """\
# Settings

Made from the code by `make generate`; edit the settings' classes instead of this page. Where settings are read from and
how they go together is in [configuration.md](configuration.md); `streamswarm config show` prints those in force.

A setting's variable is the service's prefix with the name in capitals; with `_FILE` behind it, it names a file that
holds the value. In `streamswarm.toml` a service has a table of its own.
"""
_TABLE: Final = ("| setting | default | takes | meaning |", "| --- | --- | --- | --- |")


def render() -> str:
    """The whole page as Markdown."""
    lines = [_HEADER, "## All services", "", "`STREAMSWARM_…`, at the top level of the TOML file.", ""]
    lines += [*_TABLE, *_rows(ServiceSettings, ServiceSettings.model_fields), ""]
    for service in SERVICES.values():
        lines += _section(service)
    return "\n".join(lines)


def _section(service: Service) -> list[str]:
    model = service.settings_model()
    own = {name: field for name, field in model.model_fields.items() if name not in ServiceSettings.model_fields}
    prefix = variable_name(model, "")
    return [
        f"## {service.title[0].upper()}{service.title[1:]}",
        "",
        f"`{prefix}…`, table `[{model.table}]`.",
        "",
        *_TABLE,
        *_rows(model, own),
        "",
    ]


def _rows(model: type[ServiceSettings], fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    schemas = model.model_json_schema(by_alias=False)["properties"]
    for name, field in fields.items():
        cells = (f"`{name}`", _default(field), _takes(schemas[name]), field.description or "")
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if field.default_factory is not None or value in (None, "", (), [], {}):
        return ""
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float() if value >= 100_000:
            return f"{value:_.0f}"
        case float():
            return f"{value:g}"
        case tuple():
            return f"[{', '.join(map(_written, value))}]"
        case _:
            return str(value)


def _takes(schema: Mapping[str, Any]) -> str:
    """What a value has to be, from its JSON Schema; empty where that says nothing beyond the type."""
    known = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    if "enum" in known:
        return ", ".join(f"`{one}`" for one in known["enum"])
    if known.get("type") not in {"integer", "number"}:
        return {"boolean": "`true`, `false`", "array": "list", "object": "table"}.get(known.get("type", ""), "")
    above, least, most = (known.get(key) for key in ("exclusiveMinimum", "minimum", "maximum"))
    low = f"above {above:g}" if above is not None else f"from {_number(least)}" if least is not None else ""
    return " ".join(part for part in (low, f"to {_number(most)}" if most is not None else "") if part)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - standard output is this program's result
