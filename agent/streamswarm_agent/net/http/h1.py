import time

import h11

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.http.exchange import Answer, Phases, Request
from streamswarm_agent.net.wire import Wire


class Http1:
    """HTTP/1.1 over one connection (RFC 9112)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._http = h11.Connection(h11.CLIENT)

    @property
    def reusable(self) -> bool:
        """Whether both sides have finished and neither wants to close."""
        return self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE

    async def exchange(self, request: Request, answer: Answer, phases: Phases) -> None:
        """See HttpConnection."""
        message = self._write(request)
        started = time.monotonic()
        unsent: OSError | None = None
        try:
            await self._wire.send(message)
        except OSError as error:
            # A server may answer, and close, before it has taken a body that it doesn't want: too large, not allowed.
            unsent = error
        asked = time.monotonic()
        phases.request = asked - started
        try:
            await self._read(answer, phases, asked)
        except (OSError, ProbeFault):
            if unsent is not None and answer.status is None:
                raise unsent from None
            raise
        except h11.RemoteProtocolError as error:
            raise ProbeFault(Fault.PROTOCOL, _in_words(error)) from None
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()

    def _write(self, request: Request) -> bytes:
        headers = [("host", request.authority), *request.all_headers]
        try:
            parts = [self._http.send(h11.Request(method=request.method, target=request.path, headers=headers))]
            if request.body:
                parts.append(self._http.send(h11.Data(data=request.body)))
            parts.append(self._http.send(h11.EndOfMessage()))
        except (h11.LocalProtocolError, UnicodeError) as error:
            raise ProbeFault(Fault.BAD_TARGET, str(error)) from None
        return b"".join(part or b"" for part in parts)

    async def _read(self, answer: Answer, phases: Phases, asked: float) -> None:
        begun = asked
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                received = await self._wire.receive()
                if not received and phases.first_byte is None:
                    raise ProbeFault(Fault.RESET, "the server closed the connection without an answer")
                if phases.first_byte is None and received:
                    begun = time.monotonic()
                    phases.first_byte = begun - asked
                self._http.receive_data(received)
            elif isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.protocol = f"HTTP/{event.http_version.decode()}"
                answer.headers = [(key.decode().lower(), value.decode("latin-1")) for key, value in event.headers]
                answer.body.begin(answer.header("content-encoding"))
            elif isinstance(event, h11.Data):
                answer.body.feed(event.data)
                if answer.body.cut:
                    break
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                break
        phases.transfer = time.monotonic() - begun


def _in_words(error: h11.RemoteProtocolError) -> str:
    """What h11 says, where it speaks of the answer and not of itself."""
    words = str(error)
    if "_SWITCH" in words:
        return "the server switches to another protocol (status 101), which it wasn't asked for"
    if words.startswith("peer closed connection without sending complete message body"):
        told = words.partition("(")[2].rstrip(")")
        return f"the server closed the connection before the body was complete ({told})"
    if words == "peer unexpectedly closed connection":
        return "the server closed the connection before the head of its answer was complete, or speaks no HTTP"
    return f"the answer is no valid HTTP: {words}"
