import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from streamswarm_core.heads.timer import HeadTimer


class BoundedH11(HeadTimer, H11Protocol):
    """Ends a connection on which no whole head arrives in time; h11 itself refuses one of more than 64 kB."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.expect_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head, unless it is whole."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the rest of the next head if a part of it has come already."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self.forget_head()
        super().connection_lost(exc)

    def _look(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or not self.conn.trailing_data[0]:
            # Between two requests uvicorn's own timer runs.
            self.forget_head()
        else:
            self.expect_head()
