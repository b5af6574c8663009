"""The kinds of things that `apply` and `export` know, in the order in which they need one another."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_cli.admin.agents import AGENTS
from streamswarm_cli.admin.api import Api
from streamswarm_cli.admin.channels import CHANNELS
from streamswarm_cli.admin.config import CONFIG
from streamswarm_cli.admin.maintenance import MAINTENANCE
from streamswarm_cli.admin.noun import Noun
from streamswarm_cli.admin.rules import RULES
from streamswarm_cli.admin.sites import SITES
from streamswarm_cli.admin.tests import TESTS
from streamswarm_cli.admin.users import USERS

_MADE: Final = frozenset({"id", "created_at", "updated_at"})


@dataclass(frozen=True, slots=True)
class Kind:
    """How a file and the API speak of a kind of things.

    Attributes:
        noun: what it is in the API.
        own: fields that only the API writes.
        names: fields of a file that name other things, by what the API calls them there.
        fixed: fields that are given once.
        takes: the fields that a file may give, if others of the API aren't a file's business.
        replaced: whether the API takes it as a whole only.
        begins: how it comes to be, where that is by other ways, so that it can only be changed.
        lasting: whether it stays where a file doesn't have it.
        for_admins: whether the API shows it to admins alone.
    """

    noun: Noun
    own: frozenset[str] = _MADE
    names: Mapping[str, tuple[str, Noun]] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    takes: Collection[str] = ()
    replaced: bool = False
    begins: str = ""
    lasting: bool = False
    for_admins: bool = False

    def called(self, thing: Mapping[str, Any]) -> str:
        """What people call it."""
        return str(thing.get(self.noun.by) or thing.get("name") or "")


KINDS: Final[Mapping[str, Kind]] = {
    "sites": Kind(SITES, own=_MADE | {"agents", "offline"}, fixed=frozenset({"name"})),
    "agents": Kind(
        AGENTS,
        fixed=frozenset({"name"}),
        takes=("name", "site", "labels"),
        begins="it has to enrol first",
        lasting=True,
    ),
    "tests": Kind(
        TESTS,
        own=_MADE | {"generation", "warnings"},
        names={"agents": ("agent_ids", AGENTS)},
        fixed=frozenset({"key", "probe"}),
    ),
    "channels": Kind(CHANNELS, own=_MADE | {"kind", "signing_secret"}),
    "rules": Kind(RULES, names={"channels": ("channel_ids", CHANNELS)}),
    "maintenance": Kind(
        MAINTENANCE,
        own=_MADE | {"created_by", "active", "active_until", "next_start_at", "over", "warnings"},
        names={"agents": ("agent_ids", AGENTS), "tests": ("test_ids", TESTS)},
        replaced=True,
    ),
    "users": Kind(
        USERS,
        takes=("username", "role", "display_name", "email", "active"),
        lasting=True,
        for_admins=True,
    ),
    "configuration": Kind(
        CONFIG,
        fixed=frozenset({"key"}),
        takes=("key", "value"),
        replaced=True,
        begins="see streamswarm admin config list",
        lasting=True,
        for_admins=True,
    ),
}


class Present:
    """What there is."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lists: dict[str, list[dict[str, Any]]] = {}

    def of(self, name: str) -> list[dict[str, Any]]:
        """All things of a kind, as a file would give them: what they refer to by its name; `id` stays."""
        if name not in self._lists:
            kind = KINDS[name]
            found = list(self._api.items(kind.noun.path))
            for thing in found:
                thing.setdefault("id", thing[kind.noun.by])
            if name == "tests":
                self._add_agents(found)
            self._lists[name] = [self.named(kind, thing) for thing in found]
        return self._lists[name]

    def named(self, kind: Kind, thing: Mapping[str, Any]) -> dict[str, Any]:
        """A thing of the API as a file would give it."""
        shown = dict(thing)
        for field_name, (ids, noun) in kind.names.items():
            if ids in shown:
                known = self._known(noun)
                shown[field_name] = sorted(known.get(one, one) for one in shown.pop(ids))
        return shown

    def _add_agents(self, tests: list[dict[str, Any]]) -> None:
        by_hand: dict[str, list[str]] = {}
        for one in self._api.items("/assignments"):
            if one["explicit"]:
                by_hand.setdefault(one["test_id"], []).append(one["agent_id"])
        for test in tests:
            test["agent_ids"] = by_hand.get(test["id"], [])

    def _known(self, noun: Noun) -> dict[str, str]:
        name = next(name for name, kind in KINDS.items() if kind.noun is noun)
        return {thing["id"]: str(thing[noun.by]) for thing in self.of(name)}
