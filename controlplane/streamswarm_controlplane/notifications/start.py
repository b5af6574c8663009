"""What the control plane needs to tell people: put together when the app is made."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.jobs.lease import worker_name
from streamswarm_controlplane.jobs.periodic import Periodic
from streamswarm_controlplane.notifications.dispatcher import Dispatcher
from streamswarm_controlplane.notifications.evaluation import Evaluator
from streamswarm_controlplane.notifications.guard import Guard
from streamswarm_controlplane.notifications.secretbox import KEY_FILE, SecretBox
from streamswarm_controlplane.notifications.senders import Senders, trusted
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.reader import Reader

_DISPATCH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Notifications:
    """The key of the channels' secrets, and the jobs."""

    box: SecretBox
    jobs: Sequence[Periodic]


def make_notifications(settings: ControlPlaneSettings, database: Database, reader: Reader) -> Notifications:
    """Put evaluation and delivery together; nothing runs yet.

    Raises:
        ConfigError: the key, the allowed networks or the authorities can't be used.
    """
    try:
        tls = trusted(str(settings.ca_file) if settings.ca_file else "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"STREAMSWARM_CONTROLPLANE_CA_FILE: {settings.ca_file}: {error.strerror or error}; give a PEM file"
        ) from None
    worker = worker_name()
    box = SecretBox.load_or_create(settings.folder / KEY_FILE)
    senders = Senders(Guard.parse(settings.webhook_allow), tls)
    evaluator = Evaluator(database, reader, settings, worker)
    dispatcher = Dispatcher(database, senders, box, worker)
    return Notifications(
        box,
        (
            Periodic("the evaluation of alerts", evaluator.evaluate, settings.alert_seconds, evaluator.leave),
            Periodic("the delivery of messages", dispatcher.dispatch, _DISPATCH_SECONDS),
        ),
    )
