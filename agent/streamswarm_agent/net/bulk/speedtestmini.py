"""speedtest-cli's library, pointed at a server of one's own, in a process of its own because it blocks."""

import importlib
from typing import Any, Final
from urllib.parse import urlsplit

from streamswarm_agent.faults import Fault, ProbeFault

# Bytes of the pictures that every Speedtest Mini server has, by their width.
_PICTURES: Final = {
    350: 245_388,
    500: 505_544,
    750: 1_118_012,
    1000: 1_986_284,
    1500: 4_468_241,
    2000: 7_907_740,
    2500: 12_407_926,
    3000: 17_816_816,
    3500: 24_262_167,
    4000: 31_625_365,
}
_LARGEST_UPLOAD: Final = 4_000_000
_REQUEST_SECONDS: Final = 10


def run_speedtest(target: str, options: dict[str, Any]) -> dict[str, float]:
    """Measure with a Speedtest Mini server (a URL), or with a server of speedtest.net (its number).

    Args:
        target: `http://…` of the server's folder, or a number.
        options: seconds, bytes (of each direction), streams, download, upload.

    Returns:
        Bits per second (`download`, `upload`), bytes (`downloaded`, `uploaded`), `rtt` in seconds.

    Raises:
        ProbeFault: the server can't be reached, or is none.
    """
    speedtest = importlib.import_module("speedtest")
    try:
        test = _prepared(speedtest, target, options)
    except speedtest.SpeedtestException as error:
        raise ProbeFault(_sort(error), f"{type(error).__name__}: {error}") from None
    found: dict[str, float] = {}
    if 0 < test.results.ping < _REQUEST_SECONDS * 1000:
        found["rtt"] = test.results.ping / 1000
    if options["download"]:
        found["download"] = test.download(threads=options["streams"])
        found["downloaded"] = test.results.bytes_received
    if options["upload"]:
        found["upload"] = test.upload(threads=options["streams"])
        found["uploaded"] = test.results.bytes_sent
    if not found.get("downloaded", 1) or not found.get("uploaded", 1):
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"{target} transferred nothing; is it a Speedtest Mini server?")
    return found


def _prepared(speedtest: Any, target: str, options: dict[str, Any]) -> Any:
    ours = _limits(options)
    if target.isdecimal():
        test = speedtest.Speedtest(timeout=_REQUEST_SECONDS)
        test.config.update(ours)
        test.get_servers([int(target)])
        test.get_best_server()
        return test

    class Offline(speedtest.Speedtest):  # type: ignore[misc]
        """One that doesn't ask speedtest.net how to test."""

        def get_config(self) -> None:
            self.config.update(ours)

    test = Offline(timeout=_REQUEST_SECONDS)
    test.get_best_server(test.set_mini_server(target))
    return test


def _limits(options: dict[str, Any]) -> dict[str, Any]:
    """What the library takes from speedtest.net: sizes and counts that stay within the bytes."""
    size, streams = options["bytes"], options["streams"]
    width = max((width for width, held in _PICTURES.items() if held * streams <= size), default=min(_PICTURES))
    upload = max(10_000, min(_LARGEST_UPLOAD, size // streams))
    uploads = max(1, size // upload)
    return {
        "client": {},
        "ignore_servers": [],
        "sizes": {"download": [width], "upload": [upload]},
        "counts": {"download": max(1, size // _PICTURES[width]), "upload": uploads},
        "threads": {"download": streams, "upload": streams},
        "length": {"download": options["seconds"], "upload": options["seconds"]},
        "upload_max": uploads,
    }


def _sort(error: Exception) -> Fault:
    name = type(error).__name__
    if "Connect" in name or "Retrieval" in name:
        return Fault.UNREACHABLE
    return Fault.UNEXPECTED_ANSWER


def check_target(target: str) -> None:
    """Refuse what is no server.

    Raises:
        ProbeFault: it is neither a URL nor a number.
    """
    if not target.isdecimal() and urlsplit(target).scheme not in {"http", "https"}:
        raise ProbeFault(
            Fault.BAD_TARGET, f"{target!r} is neither the URL of a Speedtest Mini server nor a server's number"
        )
