"""`apply` and `export`: what an installation is to be, kept in a file."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import declared, noun, output
from streamswarm_cli.admin.api import Api, UnusableError
from streamswarm_cli.admin.declared import Declared
from streamswarm_cli.admin.differences import differences
from streamswarm_cli.admin.kinds import KINDS, Kind, Present
from streamswarm_cli.admin.noun import Yes
from streamswarm_cli.admin.tests import MASK
from streamswarm_core.errors import ConfigError, Refused, StreamSwarmError
from streamswarm_core.printable import printable

_SIGNS: Final = {"+": "add", "~": "change", "-": "remove"}


@dataclass(frozen=True, slots=True)
class Step:
    """What has to be done to one thing; nothing if its sign is empty.

    Attributes:
        sign: `+`, `~`, `-` or "".
        kind: of the thing.
        called: what people call it.
        lines: what differs.
        wanted: what a file says of it; None for what is to go.
        id: of what is there already.
    """

    sign: str
    kind: Kind
    called: str
    lines: Sequence[str] = ()
    wanted: Declared | None = None
    id: str = ""


def apply(
    files: Annotated[list[str], typer.Argument(help="YAML or JSON as `export` writes it; - is standard input.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done; ends with 1 if that is anything.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove what the files lack, of the kinds that they have; never agents or users."),
    ] = False,
    yes: Yes = False,
) -> None:
    """Add and change what files say.

    What is so already, and what they don't name, is left alone.
    """
    wanted = [thing for file in files for thing in declared.read(file, KINDS)]
    with noun.connect() as api:
        steps = list(_Plan(api, wanted).steps(prune=prune))
        _show(steps)
        steps = [step for step in steps if step.sign]
        if not steps or dry_run:
            raise typer.Exit(1 if steps else 0)
        if not yes:
            typer.confirm("Do it?", abort=True, err=True)
        for done, step in enumerate(steps):
            try:
                _do(api, step)
            except StreamSwarmError as error:
                left = f"the {done} before it are done, and none behind it"
                raise ConfigError(f"{_complaint(error, step.wanted) if step.wanted else error}; {left}") from None


def export() -> None:
    """Print what `apply` takes, of all kinds.

    Left out are secrets, windows that are over, and settings' defaults.
    """
    with noun.connect() as api:
        present = Present(api)
        found: dict[str, list[dict[str, Any]]] = {}
        for name, kind in KINDS.items():
            try:
                found[name] = [_portable(kind, one) for one in present.of(name)]
            except Refused as error:
                if not kind.for_admins or error.status != HTTPStatus.FORBIDDEN:
                    raise
                typer.echo(f"{name}: left out: {error}", err=True)
    shown = [one for name in found for one in found[name]]
    secret = [str(one.get("key") or one.get("name")) for one in shown if MASK in json.dumps(one)]
    if secret:
        typer.echo(f"{MASK} stands for secrets, which the API doesn't tell: {', '.join(secret)}", err=True)
    output.show_json({name: [one for one in things if one] for name, things in found.items()})


class _Plan:
    """Finds out what has to be done, by having the control plane try it."""

    def __init__(self, api: Api, wanted: Sequence[Declared]) -> None:
        self._api = api
        self._present = Present(api)
        self._wanted = {name: [one for one in wanted if one.kind == name] for name in KINDS}

    def steps(self, *, prune: bool) -> Iterator[Step]:
        """In the order in which they can be done."""
        unnamed: dict[str, list[dict[str, Any]]] = {}
        for name, things in self._wanted.items():
            left = {one["id"]: one for one in self._present.of(name)} if things else {}
            seen: dict[str, Declared] = {}
            for one in things:
                there = self._find(one, seen)
                left.pop(there.get("id", ""), None)
                yield self._step(one, there)
            unnamed[name] = [] if KINDS[name].lasting else list(left.values())
        if prune:
            for name in reversed(list(KINDS)):
                kind = KINDS[name]
                yield from (Step("-", kind, kind.called(one), id=one["id"]) for one in unnamed[name])

    def _find(self, one: Declared, seen: dict[str, Declared]) -> dict[str, Any]:
        """What there is of it; empty if there is nothing."""
        kind = KINDS[one.kind]
        by = kind.noun.by if one.body.get(kind.noun.by) else "name"
        called = one.body.get(by)
        if not called or not isinstance(called, str):
            raise ConfigError(f"{one.place()}: has no {kind.noun.by}")
        found = [thing for thing in self._present.of(one.kind) if thing[by] == called]
        place = found[0]["id"] if found else f"{by} {called}"
        if place in seen:
            raise ConfigError(f"{one.place(by)}: {called} is in {seen[place].place()} already")
        seen[place] = one
        if len(found) > 1:
            raise ConfigError(f"{one.place(by)}: several {kind.noun.title}s are called {called!r}; rename all but one")
        if not found and kind.begins:
            raise ConfigError(f"{one.place(by)}: no {kind.noun.title} {called!r}; {kind.begins}")
        if kind.takes and (unknown := sorted(one.body.keys() - set(kind.takes))):
            raise ConfigError(f"{one.place(unknown[0])}: isn't taken here; takes {', '.join(kind.takes)}")
        if not found and MASK in json.dumps(one.body):
            raise ConfigError(f"{one.place()}: {MASK} stands for a secret that was not exported; write it")
        return found[0] if found else {}

    def _step(self, one: Declared, there: Mapping[str, Any]) -> Step:
        kind = KINDS[one.kind]
        if there:
            for name in kind.fixed & one.body.keys():
                if one.body[name] != there[name]:
                    raise ConfigError(
                        f"{one.place(name)}: {there[name]} can't be changed; remove it, or call it otherwise"
                    )
        try:
            answer = self._try(one, there)
        except StreamSwarmError as error:
            raise ConfigError(_complaint(error, one)) from None
        after = {
            **self._present.named(kind, answer),
            **{name: one.body[name] for name in kind.names if name in one.body},
        }
        after = {name: value for name, value in after.items() if not kind.takes or name in kind.takes}
        before = {name: there[name] for name in there if name in after}
        lines = list(differences(_in_order(before, kind), _in_order(after, kind), kind.own))
        if there and not lines and answer.get("updated_at") != there.get("updated_at"):
            lines = ["something that is not shown, such as a secret"]
        sign = "" if there and not lines else "~" if there else "+"
        return Step(sign, kind, kind.called(after), lines, one, str(there.get("id", "")))

    def _try(self, one: Declared, there: Mapping[str, Any]) -> dict[str, Any]:
        """What it would become."""
        kind = KINDS[one.kind]
        coming = {ids: self._coming(one.body.get(name), others) for name, (ids, others) in kind.names.items()}
        try:
            return _send(self._api, kind, one.body, str(there.get("id", "")), coming=coming, dry_run=True)
        except UnusableError as error:
            # Of what refers to something that is yet to be added, the control plane can try all the rest.
            if any(coming.values()) and all(field.partition(".")[0] in coming for field, _ in error.fields):
                return dict(one.body)
            raise

    def _coming(self, names: Any, others: noun.Noun) -> set[str]:
        """Those of the names whose things are yet to be added."""
        name = next(name for name, kind in KINDS.items() if kind.noun is others)
        announced = {str(one.body.get(others.by)) for one in self._wanted[name]}
        return set(map(str, names or ())) & announced - {str(thing[others.by]) for thing in self._present.of(name)}


def _in_order(thing: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """What is named has no order."""
    return {name: sorted(map(str, one)) if name in kind.names and one else one for name, one in thing.items()}


def _do(api: Api, step: Step) -> None:
    if step.wanted is None:
        api.send("DELETE", f"{step.kind.noun.path}/{step.id}")
        return
    made = _send(api, step.kind, step.wanted.body, step.id)
    for secret in ("signing_secret", "password"):
        if made.get(secret):
            typer.echo(f"{step.kind.noun.title} {step.called}: {secret.replace('_', ' ')}, shown once: {made[secret]}")


def _send(
    api: Api,
    kind: Kind,
    body: Mapping[str, Any],
    thing: str,
    *,
    coming: Mapping[str, Collection[str]] | None = None,
    **query: Any,
) -> dict[str, Any]:
    """Add a thing, or change that with this id; what is yet to come stands for its id by its name."""
    sent = {name: value for name, value in body.items() if not thing or name not in kind.fixed}
    for name, (ids, others) in kind.names.items():
        if name in sent:
            soon = (coming or {}).get(ids, ())
            given = map(str, sent.pop(name) or ())
            sent[ids] = [one if one in soon else api.find(others.path, one, others.by)["id"] for one in given]
    if not thing:
        answer = api.send("POST", kind.noun.path, body=sent, **query)
    else:
        answer = api.send("PUT" if kind.replaced else "PATCH", f"{kind.noun.path}/{thing}", body=sent, **query)
    made: dict[str, Any] = answer.json()
    return made


def _complaint(error: StreamSwarmError, one: Declared) -> str:
    """What is wrong, each with its place in the file."""
    fields = error.fields if isinstance(error, UnusableError) else ()
    if not fields:
        return f"{one.place()}: {error}"
    return "; ".join(f"{one.place(field)}: {message}" for field, message in fields)


def _portable(kind: Kind, thing: Mapping[str, Any]) -> dict[str, Any]:
    """A thing without what only its own control plane knows; nothing of what is over, or so by default."""
    if thing.get("over") or thing.get("is_default"):
        return {}
    kept = {name: one for name, one in thing.items() if name not in kind.own and one not in (None, "", [], {})}
    if kind.takes:
        kept = {name: one for name, one in kept.items() if name in kind.takes}
    if thing.get("kind") == "webhook":  # it makes a signing secret of its own
        kept["settings"] = {name: one for name, one in thing["settings"].items() if name != "secret"}
    return kept


def _show(steps: Sequence[Step]) -> None:
    for step in steps:
        if step.sign:
            typer.echo(printable(f"{step.sign} {step.kind.noun.title} {step.called}"))
            for line in step.lines:
                typer.echo(printable(f"    {line}"))
    count = Counter(step.sign for step in steps)
    told = [f"{count[sign]} to {verb}" for sign, verb in _SIGNS.items() if count[sign]]
    typer.echo(", ".join([*told, f"{count['']} as they are"]), err=True)
