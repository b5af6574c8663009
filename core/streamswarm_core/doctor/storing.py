"""The store that a service reads points from."""

from collections.abc import Callable
from typing import Final

from streamswarm_core.doctor.asking import ANSWER_SECONDS, reason_in
from streamswarm_core.doctor.finding import Finding, broken, note, ok
from streamswarm_core.doctor.peers import unreached
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.masking import masked
from streamswarm_core.reader import StoreSettings, open_reader
from streamswarm_core.settings import variable_name

_SUBJECT: Final = "store"
_NO_TOKEN: Final = frozenset({401, 403})


def reads(settings: StoreSettings, token: Callable[[], str], remedy: str) -> Finding:
    """Whether the store answers a query, and lets this service read.

    Args:
        settings: the service's.
        token: gives the service's own token.
        remedy: for a token of its own that isn't taken.
    """
    model, url = type(settings), settings.store_url
    variable = variable_name(model, "store_url")
    if settings.store_token_file is not None:
        remedy = f"put a token of the store into {settings.store_token_file}"
    reader = open_reader(settings, token, timeout=ANSWER_SECONDS)
    try:
        known = reader.measurements()
    except Unavailable as error:
        return unreached(_SUBJECT, url, _without_url(str(error), url), variable)
    except Refused as error:
        if error.status in _NO_TOKEN:
            return broken(_SUBJECT, f"{url} doesn't take this service's token: {_without_url(str(error), url)}", remedy)
        wanted = f"correct {variable}, {variable_name(model, 'store_kind')} or {variable_name(model, 'bucket')}"
        return broken(_SUBJECT, f"{url} doesn't answer queries: {_without_url(str(error), url)}", wanted)
    finally:
        reader.close()
    if not known:
        return note(_SUBJECT, f"{url} answers, and has no points in {settings.bucket} yet")
    return ok(_SUBJECT, f"{url} answers, with {len(known)} measurements in {settings.bucket}")


def _without_url(message: str, url: str) -> str:
    """The reason in what a reader says, which begins with the address that it asked."""
    start, _, reason = message.partition(": ")
    return reason_in(reason) if reason and start.startswith(masked(url.rstrip("/"))) else message
