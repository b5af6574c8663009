"""What a person does with dead letters, beside a running collector or without one."""

from dataclasses import dataclass

import httpx

from streamswarm_collector.settings import CollectorSettings, InfluxSinkSettings
from streamswarm_collector.sinks.deadletters import DeadLetter, DeadLetters
from streamswarm_collector.sinks.peer import Peer
from streamswarm_core.errors import Unavailable


@dataclass(frozen=True, slots=True)
class SinkWithLetters:
    """A sink of the settings and what was set aside for it."""

    settings: InfluxSinkSettings
    letters: DeadLetters

    def resend(self) -> tuple[int, int]:
        """Send each letter again; returns how many were taken, and how many were refused again and stay.

        Raises:
            Unavailable: the store can't be reached, or can't take anything at the moment; all stay.
        """
        with Peer(self.settings) as peer:
            return self.letters.take(lambda letter: self._send(peer, letter))

    def _send(self, peer: Peer, letter: DeadLetter) -> bool:
        try:
            answer = peer.write(letter.database, letter.lines.encode())
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.settings.url}: {str(error) or type(error).__name__}") from None
        if answer.is_success:
            return True
        if answer.is_client_error:
            return False
        raise Unavailable(f"{self.settings.url}: HTTP {answer.status_code}: {answer.text[:200]}")


def sinks_with_letters(settings: CollectorSettings) -> dict[str, SinkWithLetters]:
    """The sinks by name."""
    folder = settings.folder / "sinks"
    return {sink.name: SinkWithLetters(sink, DeadLetters(folder / sink.name)) for sink in settings.sinks}
