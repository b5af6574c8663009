"""What keeps a control plane from working, as `streamswarm doctor` tells it; looks only, whether it runs or not."""

from collections.abc import Iterator
from typing import Final

from streamswarm_controlplane.app import TokenSource
from streamswarm_controlplane.databaselooks import database
from streamswarm_controlplane.notifications.secretbox import KEY_FILE
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.doctor.asking import UnansweredError, ask
from streamswarm_core.doctor.files import data_folder, files_in, is_there, secrets
from streamswarm_core.doctor.finding import Finding, broken, note
from streamswarm_core.doctor.host import open_files
from streamswarm_core.doctor.ownport import OwnPort
from streamswarm_core.doctor.peers import certificate, unreached
from streamswarm_core.doctor.storing import reads
from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import variable_name
from streamswarm_core.tokens import SigningKey

_ROOM_BYTES: Final = 500_000_000
_DESCRIPTORS: Final = 1024


def examine(settings: ControlPlaneSettings) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    own = OwnPort(settings, settings.host, settings.port, settings.folder)
    yield from data_folder(settings.folder, needs=_ROOM_BYTES)
    yield from own.findings()
    handed = settings.secrets or settings.data / "secrets"
    yield from secrets(
        [
            settings.folder / "signing-key.pem",
            settings.folder / KEY_FILE,
            *files_in(handed, "*.token"),
            *([settings.folder / "controlplane.db"] if not settings.database_url.get_secret_value() else []),
        ]
    )
    yield from database(settings, runs=own.runs)
    yield from _store(settings)
    yield from _public(settings)
    yield open_files(_DESCRIPTORS, process=own.process if own.runs else None)


def _store(settings: ControlPlaneSettings) -> Iterator[Finding]:
    """Where results are read, with a token signed by the control plane's own key."""
    path = settings.folder / "signing-key.pem"
    if not is_there(path):
        yield note("signing key", f"{path} is made at the first start")
        return
    try:
        key = SigningKey.load_or_create(path)
    except (ConfigError, OSError) as error:
        remedy = "take back a backup; with a new key every agent needs a new access token, which it gets by itself"
        yield broken("signing key", str(error), remedy)
        return
    collector = "let the collector there ask this control plane: STREAMSWARM_COLLECTOR_CONTROLPLANE_URL on its host"
    yield reads(settings, TokenSource(key), collector)


def _public(settings: ControlPlaneSettings) -> Iterator[Finding]:
    """The address that agents and browsers are given, where it isn't the one that was looked at already."""
    if not settings.public_url:
        return
    url, variable = settings.url, variable_name(ControlPlaneSettings, "public_url")
    try:
        answer = ask(f"{url}/health")
    except UnansweredError as error:
        yield unreached("public address", url, str(error), variable)
        return
    if answer.body.get("name") != "streamswarm-controlplane":
        found = f"{url} answers HTTP {answer.status}, but not as a control plane does"
        yield broken("public address", found, f"see the proxy there, or correct {variable}")
    yield from certificate(url, answer)
