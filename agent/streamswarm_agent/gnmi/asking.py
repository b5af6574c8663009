"""Asking a device for all paths together, and, where it refuses them together, for each by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.gnmi.leaves import Answer, unanswered
from streamswarm_agent.gnmi.openconfig import Wanted
from streamswarm_agent.gnmi.opening import Connection, load_client
from streamswarm_agent.gnmi.refusal import RefusedRequest
from streamswarm_core.gnmipath import GnmiPath
from streamswarm_core.probespecs import GnmiParams

_ASK_AGAIN_SECONDS: Final = 600.0
"""A path that a device refused is not asked for until then, so that one request does for the others."""
_ENCODINGS: Final = ("json_ietf", "json", "proto")


@dataclass(slots=True)
class Asked:
    """What came of a run's paths.

    Attributes:
        answer: what the device answered.
        method: `once` or `get`.
        encoding: that it was asked to answer in.
        response: seconds from the first request to the end of the last answer.
        counted: paths that count.
        missing: those of them without any value, each with the reason if the device gave one.
    """

    answer: Answer
    method: str
    encoding: str
    response: float = 0.0
    counted: int = 0
    missing: dict[GnmiPath, str] = field(default_factory=dict)


async def ask(connection: Connection, wanted: Sequence[Wanted], params: GnmiParams) -> Asked:
    """Ask for paths: by Subscribe ONCE, and by Get if the device doesn't do that.

    Raises:
        ProbeFault: the connection is at fault, or the device refuses everything.
    """
    module = await load_client()
    encoding = _encoding(connection, params.encoding)
    started = time.monotonic()
    last: ProbeFault | None = None
    for method in ("once", "get") if connection.once else ("get",):
        send = connection.client.once if method == "once" else connection.client.get

        async def one_request(paths: Sequence[GnmiPath], send: Callable[..., Awaitable[Answer]] = send) -> Answer:
            return await send(module.Request(paths, encoding, params.prefix_target, params.wait))

        rounds = _Rounds(connection, one_request, otherwise=method == "once")
        answer = await rounds.run([one.path for one in wanted])
        if rounds.any_accepted:
            connection.once = method == "once"
            response = time.monotonic() - started
            counted = [one.path for one in wanted if not one.optional]
            # In a thread, as all that takes long with a large device: meanwhile the agent's other runs go on.
            without = await asyncio.to_thread(unanswered, counted, answer.leaves)
            missing = {path: connection.refused.get(path, ("", 0.0))[0] for path in without}
            return Asked(answer, method, encoding, response, len(counted), missing)
        last = rounds.last_refusal
        connection.refused.clear()
    raise last or ProbeFault(Fault.UNEXPECTED_ANSWER, "refuses every path")


def _encoding(connection: Connection, preferred: str) -> str:
    for encoding in (preferred, *_ENCODINGS):
        if encoding in connection.encodings:
            return encoding
    return preferred


class _Rounds:
    """The requests of one method.

    Args:
        connection: to the device.
        request: makes one.
        otherwise: whether another method is left, if the device knows nothing of this one.

    Attributes:
        any_accepted: whether the device took any of them.
        last_refusal: its last word on one that it didn't.
    """

    def __init__(
        self,
        connection: Connection,
        request: Callable[[Sequence[GnmiPath]], Awaitable[Answer]],
        *,
        otherwise: bool,
    ) -> None:
        self._connection, self._request = connection, request
        self._otherwise, self._unimplemented = otherwise, False
        self.any_accepted = False
        self.last_refusal: ProbeFault | None = None

    async def run(self, paths: Sequence[GnmiPath]) -> Answer:
        known = self._connection.refused
        now = time.monotonic()
        for path in [path for path, (_, until) in known.items() if until <= now]:
            del known[path]
        willing = [path for path in paths if path not in known]
        answer = Answer()
        if not willing:
            known.clear()
            willing = list(paths)
        together = await self._one(willing)
        if together is not None:
            answer.add(together)
        elif len(willing) > 1 and not (self._otherwise and self._unimplemented):
            for path in willing:
                alone = await self._one([path])
                if alone is not None:
                    answer.add(alone)
        return answer

    async def _one(self, paths: Sequence[GnmiPath]) -> Answer | None:
        try:
            answer = await self._request(paths)
        except RefusedRequest as refusal:
            self._unimplemented = refusal.unimplemented
            self.last_refusal = refusal.fault
            if len(paths) == 1:
                self._connection.refused[paths[0]] = refusal.fault.detail, time.monotonic() + _ASK_AGAIN_SECONDS
            return None
        self.any_accepted = True
        return answer
