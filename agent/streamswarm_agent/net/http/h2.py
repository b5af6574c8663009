import re
import time
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.http.exchange import Answer, Phases, Request
from streamswarm_agent.net.wire import Wire

_WINDOW: Final = 1024 * 1024
_SETTINGS: Final = {
    h2.settings.SettingCodes.ENABLE_PUSH: 0,
    h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
    h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 65_536,
}
# RFC 9113, section 8.2.2: a connection's own matters have no headers in HTTP/2.
_FORBIDDEN: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"})


def _named(code: int | None) -> str:
    """An error code of RFC 9113, section 7, as the RFC writes it.

    >>> _named(7), _named(13), _named(77)
    ('REFUSED_STREAM', 'HTTP_1_1_REQUIRED: set http2 to false', 'error 77')
    """
    try:
        name = h2.errors.ErrorCodes(code or 0).name
    except ValueError:
        return f"error {code}"
    return f"{name}: set http2 to false" if code == h2.errors.ErrorCodes.HTTP_1_1_REQUIRED else name


class Http2:
    """HTTP/2 over one connection (RFC 9113), one stream at a time."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="latin-1"))
        self._http.local_settings = h2.settings.Settings(client=True, initial_values=_SETTINGS)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW)
        self._going_away = False

    @property
    def reusable(self) -> bool:
        """Whether the server has not said that it will go."""
        return not self._going_away

    async def exchange(self, request: Request, answer: Answer, phases: Phases) -> None:
        """See HttpConnection."""
        try:
            await self._exchange(request, answer, phases)
        except h2.exceptions.ProtocolError as error:
            self._going_away = True
            raise ProbeFault(Fault.PROTOCOL, f"HTTP/2: {error}") from None
        except BaseException:
            self._going_away = True
            raise

    async def _exchange(self, request: Request, answer: Answer, phases: Phases) -> None:
        stream = self._write_head(request)
        started = time.monotonic()
        left = await self._send_some(stream, memoryview(request.body))
        asked = time.monotonic()
        phases.request = asked - started
        begun = asked
        done = False
        while not done:
            received = await self._wire.receive()
            if not received:
                raise ProbeFault(Fault.RESET, "the server closed the connection before its answer was complete")
            for event in self._http.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived) and phases.first_byte is None:
                    begun = time.monotonic()
                    phases.first_byte = begun - asked
                done = self._take(event, stream, answer) or done
            if answer.body.cut and not done:
                self._http.reset_stream(stream)
                done = True
            # Acknowledgements, and what of the body the server's window now has room for.
            left = await self._send_some(stream, left) if not done else left
        await self._wire.send(self._http.data_to_send())
        phases.transfer = time.monotonic() - begun

    def _write_head(self, request: Request) -> int:
        stream = int(self._http.get_next_available_stream_id())
        pseudo = [
            (":method", request.method),
            (":scheme", request.url.scheme),
            (":authority", request.authority),
            (":path", request.path),
        ]
        headers = [(name, value) for name, value in request.all_headers if name not in _FORBIDDEN]
        try:
            self._http.send_headers(stream, [*pseudo, *headers], end_stream=not request.body)
        except (h2.exceptions.ProtocolError, UnicodeError) as error:
            raise ProbeFault(Fault.BAD_TARGET, str(error)) from None
        return stream

    async def _send_some(self, stream: int, left: memoryview) -> memoryview:
        """Send as much of the body as the server's window takes; returns the rest."""
        while left:
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
            if not room:
                break
            self._http.send_data(stream, left[:room].tobytes(), end_stream=room >= len(left))
            left = left[room:]
        await self._wire.send(self._http.data_to_send())
        return left

    def _take(self, event: h2.events.Event, stream: int, answer: Answer) -> bool:
        """Take an event; says whether the answer is complete."""
        if isinstance(event, h2.events.ConnectionTerminated):
            self._going_away = True
            if event.error_code:
                raise ProbeFault(Fault.PROTOCOL, f"the server ended HTTP/2 with {_named(event.error_code)}")
        elif getattr(event, "stream_id", None) != stream:
            return False
        elif isinstance(event, h2.events.ResponseReceived):
            headers = [(str(name), str(value)) for name, value in event.headers or []]
            status = next(value for name, value in headers if name == ":status")
            if not re.fullmatch("[1-9][0-9]{2}", status, re.ASCII):
                raise ProbeFault(Fault.PROTOCOL, f"HTTP/2: {status[:20]!r} is no status")
            answer.status = int(status)
            answer.protocol = "HTTP/2"
            answer.headers = [(name, value) for name, value in headers if not name.startswith(":")]
            answer.body.begin(answer.header("content-encoding"))
        elif isinstance(event, h2.events.DataReceived):
            answer.body.feed(event.data or b"")
            self._http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        elif isinstance(event, h2.events.StreamReset):
            raise ProbeFault(Fault.RESET, f"the server reset the stream with {_named(event.error_code)}")
        return isinstance(event, h2.events.StreamEnded)
