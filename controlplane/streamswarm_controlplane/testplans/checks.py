"""What a test may be made of: options that its probe takes, a target without secrets, limits that fit the catalogue."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from streamswarm_controlplane.audit.service import MASK, without_secrets
from streamswarm_controlplane.complaints import explain
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.probespecs import REVEAL, SPECS, ProbeSpec
from streamswarm_core.thresholds import Threshold, UnknownField, resolve

_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_USER_INFO: Final = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*@")


def find_spec(probe: str) -> ProbeSpec:
    """A probe by its name.

    Raises:
        ApiError: 422.
    """
    spec = SPECS.get(probe)
    if spec is None:
        raise ApiError(422, f"no probe {probe!r}; one of {', '.join(SPECS)}", field="body.probe")
    return spec


def check_target(spec: ProbeSpec, target: str) -> str:
    """The target, empty for a probe that has none.

    Raises:
        ApiError: 422 if it is missing, no agent can make anything of it, or it holds credentials: a target is a tag of
            every point, for all to see.
    """
    if not spec.has_target:
        return ""
    if not target:
        raise ApiError(422, f"the probe {spec.name} needs a target, such as {spec.example_target}", field="body.target")
    _refuse_credentials(spec, target)
    wrong = _complaint(spec, target)
    if wrong:
        raise ApiError(422, f"body.target: {wrong}; such as {spec.example_target}", field="body.target")
    return target


def _complaint(spec: ProbeSpec, target: str) -> str:
    """Why no agent could make anything of the target; empty if one can."""
    try:
        spec.read_target(target)
    except ValueError as error:
        return str(error)
    return f"{target!r} has a space in it" if _BLANK.search(target) else ""


def _refuse_credentials(spec: ProbeSpec, target: str) -> None:
    if _USER_INFO.match(target):
        place = (
            "put them into the options username and password, which are kept from view"
            if "password" in spec.params.model_fields
            else f"the probe {spec.name} uses none; leave out what is before the @"
        )
        raise ApiError(
            422, f"a target is stored with every point, so it must not hold credentials: {place}", field="body.target"
        )


def check_params(spec: ProbeSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they were given, once the probe's model has accepted them.

    Raises:
        ApiError: 422.
    """
    try:
        return spec.params.model_validate(params).model_dump(mode="json", exclude_unset=True, context=REVEAL)
    except ValidationError as error:
        first = explain(error.errors(), spec.params, "body.params")[0]
        raise ApiError(422, f"{first.field}: {first.message}", field=first.field) from None


def check_thresholds(spec: ProbeSpec, thresholds: Sequence[Threshold]) -> None:
    """Hold limits against the catalogue.

    Raises:
        ApiError: 422 with the place in the list.
    """
    for place, threshold in enumerate(thresholds):
        try:
            resolve(spec, threshold)
        except UnknownField as error:
            path = f"body.thresholds.{place}.{error.name}"
            raise ApiError(422, f"{path}: {error}", field=path) from None


def refuse_moved_secrets(
    stored: Mapping[str, Any], given: Mapping[str, Any] | None, *, before: str, after: str
) -> None:
    """Keep stored secrets from being sent to somewhere they were not meant for.

    Args:
        stored: the options with their secrets.
        given: the options that come with the new target, with asterisks for what is stored; None if they stay.
        before: the target that the secrets were given for.
        after: the new target.

    Raises:
        ApiError: 422 with the first option that has to be given again.
    """
    if origin_of(before) == origin_of(after):
        return
    for path in _secret_paths(stored):
        if given is None or _at(given, path) == MASK:
            name = ".".join(path)
            raise ApiError(
                422,
                f"body.params.{name}: the target's host changes from {origin_of(before)} to {origin_of(after)}, so "
                "give this secret again, or leave it out of params",
                field=f"body.params.{name}",
            )


def origin_of(target: str) -> str:
    """Scheme, host and port of a target: where its secrets go.

    >>> origin_of("https://Example.org/a?b"), origin_of("192.0.2.1:22")
    ('https://example.org', '192.0.2.1:22')
    """
    if "://" not in target:
        return target.partition("/")[0].lower()
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _secret_paths(params: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    masked = without_secrets(params) or {}
    for key, value in params.items():
        if isinstance(value, dict):
            yield from ((key, *path) for path in _secret_paths(value))
        elif value and masked[key] != value:
            yield (key,)


def _at(params: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = params
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
