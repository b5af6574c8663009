"""What keeps an ML service from working, as `streamswarm doctor` tells it; looks only, whether it runs or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamswarm_core.doctor.asking import UnansweredError, ask
from streamswarm_core.doctor.files import data_folder, is_there, secrets, size_text, user_name
from streamswarm_core.doctor.finding import Finding, State, broken, note, ok, warning
from streamswarm_core.doctor.host import open_files
from streamswarm_core.doctor.ownport import OwnPort
from streamswarm_core.doctor.peers import answers, control_plane, takes_points
from streamswarm_core.doctor.starting import how_to_read_log
from streamswarm_core.doctor.storing import reads
from streamswarm_core.doctor.tokens import token_remedy
from streamswarm_core.errors import ConfigError
from streamswarm_core.reader import TokenFile
from streamswarm_core.settings import variable_name
from streamswarm_ml.keyfile import read_key
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import KEY_NAME, UntrustedError, read_saved

_ROOM_BYTES: Final = 500_000_000
_DESCRIPTORS: Final = 512
_LATE_CYCLES: Final = 6
_LATE_SECONDS: Final = 300.0


def examine(settings: MlSettings) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    own = OwnPort(settings, settings.host, settings.port, settings.folder)
    yield from data_folder(settings.folder, needs=_ROOM_BYTES)
    yield from own.findings()
    yield from secrets([settings.token_path])
    yield from _keys(settings.folder)
    yield from control_plane(settings.controlplane_url, variable_name(MlSettings, "controlplane_url"))
    able = list(_token(settings))
    yield from able
    yield from _state(settings.folder)
    if own.runs and not any(one.state is State.BROKEN for one in able):
        yield from _progress(own.url, settings)
    yield open_files(_DESCRIPTORS, process=own.process if own.runs else None)


def _token(settings: MlSettings) -> Iterator[Finding]:
    """The token is read at each use, so the service runs without one, and gets nothing."""
    token, path = TokenFile(settings.token_path), settings.token_path
    handed = token_remedy(settings, path)
    if not token() and settings.store_kind == "influxql" and settings.store_token_file is None:
        yield broken("token", f"{path} isn't there, or holds no token that this user can read", handed)
        return
    found = [reads(settings, token, handed)]
    yield from found
    if settings.scores_url != settings.store_url or answers(found):
        variable = variable_name(MlSettings, "write_url" if settings.write_url else "store_url")
        yield takes_points("scores", settings.scores_url, settings.bucket, token(), variable, handed)


def _keys(folder: Path) -> Iterator[Finding]:
    """The keys that seal what was learned; the service doesn't start with one that others could have read."""
    for path in (folder / KEY_NAME, folder / "models" / "store.key"):
        try:
            read_key(path)
        except FileNotFoundError:
            continue
        except ConfigError as error:
            found, _, remedy = str(error).partition("; ")
            mended = (
                f"chown {user_name()}: {path} && chmod 600 {path}; or {remedy}" if "nobody else" in found else remedy
            )
            yield broken("key", found, mended)
        except OSError as error:
            yield broken("key", f"{path} can't be read: {error.strerror}", f"chown {user_name()}: {path}")


def _state(folder: Path) -> Iterator[Finding]:
    """What the detectors have learned; the service sets aside what it can't trust, here it is left where it is."""
    path, key = folder / "detectors.state", folder / KEY_NAME
    remedy = f"nothing, if they may learn anew from the stored points; or take back a backup of {folder}"
    try:
        read_saved(path, read_key(key))
    except FileNotFoundError:
        if is_there(path):
            yield warning("state", f"{key} isn't there, so {path} can't be trusted", remedy)
        else:
            yield note("state", "the detectors have learned nothing yet")
    except ConfigError:
        return  # of the key, and told already
    except UntrustedError as error:
        yield warning("state", f"{path} is {error}: it is set aside at the next start", remedy)
    except OSError as error:
        yield broken("state", f"{error.filename} can't be read: {error.strerror}", "change its owner")
    else:
        yield ok("state", f"what the detectors learned can be read: {size_text(path.stat().st_size)}")


def _progress(url: str, settings: MlSettings) -> Iterator[Finding]:
    """What the running service says of its work."""
    try:
        said = ask(f"{url}/status").body
    except UnansweredError:
        return
    if said.get("last_error"):
        yield broken("scoring", f"the last cycle failed: {said['last_error']}", f"see {how_to_read_log(settings)}")
        return
    expectations = str(said.get("expectations", "ok"))
    if expectations != "ok":
        found = f"tests' own thresholds and maintenance windows can't be asked for: {expectations}"
        yield warning("expectations", found, "see the control plane and the token above")
    if beyond := said.get("series_not_watched"):
        found = f"{beyond} series are not scored, as {said.get('series')} are watched already"
        remedy = "raise most_series in [ml], share the series between services (shards), or keep short-lived tags out"
        yield warning("series", found, remedy)
    lag, series = said.get("lag_seconds"), said.get("series", 0)
    if lag is None or not series:
        yield note("scoring", "no points were scored yet", "it needs agents with tests that run")
    elif lag > max(_LATE_SECONDS, _LATE_CYCLES * settings.interval) + settings.lateness_seconds:
        found = f"the newest scored point is {lag / 60:.0f} min old"
        yield warning("scoring", found, f"no newer points in the store, or too slow: {how_to_read_log(settings)}")
    else:
        yield ok("scoring", f"{series} series, the newest scored point is {lag:.0f} s old")
