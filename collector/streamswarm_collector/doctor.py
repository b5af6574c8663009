"""What keeps a collector from working, as `streamswarm doctor` tells it; looks only, whether it runs or not."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.storelooks import log_files, queried, sinks, store_file
from streamswarm_core.doctor.asking import UnansweredError, ask
from streamswarm_core.doctor.files import data_folder, secrets
from streamswarm_core.doctor.finding import Finding, broken, ok
from streamswarm_core.doctor.host import open_files
from streamswarm_core.doctor.ownport import OwnPort
from streamswarm_core.doctor.peers import answers, control_plane, ends
from streamswarm_core.doctor.reflecting import reflector
from streamswarm_core.doctor.tokens import token_remedy
from streamswarm_core.settings import variable_name
from streamswarm_core.tokens import Scope

_ROOM_BYTES: Final = 1_000_000_000
"""For the store to write a day anew, or its file, beside what is there."""
_SPARE_DESCRIPTORS: Final = 256
_URL: Final = variable_name(CollectorSettings, "controlplane_url")
_TOKEN_FILE: Final = variable_name(CollectorSettings, "token_file")


def examine(settings: CollectorSettings) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    own = OwnPort(settings, settings.host, settings.port, settings.folder)
    yield from data_folder(settings.folder, needs=_ROOM_BYTES + (settings.max_wal_bytes if settings.sinks else 0))
    yield from own.findings()
    if own.runs:
        yield from reflector(settings, own.url, settings.table, settings.metrics_token)
    if settings.auth:
        yield from secrets([settings.token_path])
        yield from _control_plane(settings)
    yield from log_files(settings, runs=own.runs)
    if settings.embedded:
        yield from store_file(settings, own)
    yield from sinks(settings)
    yield from queried(settings)
    yield open_files(
        settings.max_connections + _SPARE_DESCRIPTORS,
        f", or lower {variable_name(CollectorSettings, 'max_connections')}",
        own.process if own.runs else None,
    )


def _control_plane(settings: CollectorSettings) -> Iterator[Finding]:
    """Who vouches for tokens: without it agents go on with the keys that were fetched, and nobody new gets in."""
    found = list(control_plane(settings.controlplane_url, _URL))
    yield from found
    if answers(found):
        yield from _keys(settings)
        yield from _own_token(settings)
    elif not _kept_keys(settings):
        remedy = "see to the control plane first"
        yield broken("keys", "the control plane's public keys were never fetched: no agent's token is taken", remedy)


def _keys(settings: CollectorSettings) -> Iterator[Finding]:
    url = f"{settings.controlplane_url.rstrip('/')}/api/v1/keys"
    try:
        answer = ask(url)
    except UnansweredError as error:
        yield broken("keys", f"{url}: {error}", "see the control plane's log")
        return
    published = {str(key.get("kid")) for key in answer.body.get("keys", ())}
    if not published:
        yield broken(
            "keys", f"{url} publishes no key ({answer.complaint}): no agent's token is taken", f"correct {_URL}"
        )
    elif published <= _kept_keys(settings):
        yield ok("keys", "the control plane's public keys are fetched")
    else:
        yield ok("keys", "the control plane publishes its keys; they are fetched with the first agent's token")


def _kept_keys(settings: CollectorSettings) -> set[str]:
    try:
        kept = json.loads((settings.folder / "keys.json").read_text())
        return {str(key["kid"]) for key in kept["keys"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _own_token(settings: CollectorSettings) -> Iterator[Finding]:
    """The token by which the collector asks about others' tokens; it is asked about itself."""
    path = settings.token_path
    handed = token_remedy(settings, path)
    try:
        own = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        yield broken("token", f"{path} isn't there: tokens that aren't agents' can't be checked", handed)
        return
    except (OSError, UnicodeDecodeError):
        yield broken("token", f"{path} can't be read as a token", handed)
        return
    try:
        answer = ask(
            f"{settings.controlplane_url.rstrip('/')}/api/v1/tokens/introspect",
            "POST",
            json={"token": own},
            headers={"Authorization": f"Bearer {own}"},
        )
    except (UnansweredError, UnicodeError) as error:
        yield broken("token", f"the control plane can't be asked about {path}: {error}", f"correct {_TOKEN_FILE}")
        return
    if not answer.good:
        found = f"the control plane doesn't take the token in {path}: {answer.complaint}"
        yield broken("token", found, handed)
    elif Scope.INTROSPECT not in answer.body.get("scopes", ()):
        yield broken("token", f"the token in {path} may not introspect", handed)
    elif answer.body.get("exp"):
        end = datetime.fromtimestamp(float(answer.body["exp"]), UTC)
        yield ends("token", f"the token in {path}", end, f"streamswarm admin tokens create, and put it into {path}")
    else:
        yield ok("token", "the control plane takes the collector's own token")
