"""Narrow-band codecs: what they put on the wire, how long they take, and what they cost in quality.

Ie and Bpl are the planning values of ITU-T G.113 (11/2007), appendix I: table I.1 (Ie) and the table of codecs under
random packet loss (Ie, Bpl). A codec for which the appendix has no Bpl, such as G.729 without silence suppression or
GSM full rate, is not here: what loss does to it would be a guess. Payload types and frames are those of RFC 3551,
section 4.5 and table 4.
"""

from dataclasses import dataclass
from typing import Final

RTP_HEADER: Final = 12
"""Bytes (RFC 3550, section 5.1)."""
UDP_HEADER: Final = 8
IP_HEADER: Final = {"ipv4": 20, "ipv6": 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One codec.

    Attributes:
        name: the encoding name of its RTP payload format, as in SDP.
        title: as people call it.
        payload_type: static number of RFC 3551, or one of the dynamic range.
        clock_rate: RTP timestamp units a second.
        frame: seconds of speech in a frame.
        frame_bytes: bytes of a frame.
        look_ahead: seconds that the encoder needs of what comes next (ITU-T G.114, annex A).
        packet_time: seconds of speech in a packet unless said otherwise.
        ie: equipment impairment factor without loss.
        bpl: packet-loss robustness factor with its own or no concealment.
        concealed_bpl: the same where the receiver conceals losses, if the codec has none of its own.
        silence: bytes of one frame that a decoder plays as silence, or a frame of zeros where that isn't known.
        format: its `a=fmtp` parameters in SDP.
    """

    name: str
    title: str
    payload_type: int
    clock_rate: int = 8000
    frame: float
    frame_bytes: int
    look_ahead: float = 0.0
    packet_time: float = 0.02
    ie: float
    bpl: float
    concealed_bpl: float | None = None
    silence: bytes = b"\0"
    format: str = ""

    def frames(self, packet_time: float) -> int:
        """Frames in a packet.

        Raises:
            ValueError: it isn't a whole number of them.
        """
        count = round(packet_time / self.frame)
        if count < 1 or abs(count * self.frame - packet_time) > 1e-9:
            raise ValueError(f"{self.title} has frames of {self.frame * 1000:g} ms, of which a packet takes whole ones")
        return count

    def payload(self, packet_time: float) -> bytes:
        """A packet's payload of silence."""
        size = self.frames(packet_time) * self.frame_bytes
        return (self.silence * size)[:size]

    def delay(self, packet_time: float) -> float:
        """Seconds that it adds at both ends: a packet's frames, one more, and the look-ahead (ITU-T G.114, annex A)."""
        return (self.frames(packet_time) + 1) * self.frame + self.look_ahead

    def robustness(self, *, concealed: bool) -> float:
        """Bpl where the receiver conceals losses, or doesn't."""
        return self.concealed_bpl if concealed and self.concealed_bpl is not None else self.bpl

    def efficiency(self, packet_time: float, family: str) -> float:
        """Share of an IP packet that is speech.

        Args:
            packet_time: seconds of speech in a packet.
            family: `ipv4` or `ipv6`.

        >>> CODECS["PCMA"].efficiency(0.02, "ipv4"), CODECS["G729"].efficiency(0.02, "ipv6")
        (0.8, 0.25)
        """
        speech = self.frames(packet_time) * self.frame_bytes
        return speech / (speech + RTP_HEADER + UDP_HEADER + IP_HEADER[family])


CODECS: Final[dict[str, Codec]] = {
    codec.name: codec
    for codec in (
        Codec(
            name="PCMA",
            title="G.711 A-law",
            payload_type=8,
            frame=0.000_125,
            frame_bytes=1,
            ie=0,
            bpl=4.3,
            concealed_bpl=25.1,
            silence=b"\xd5",
        ),
        Codec(
            name="PCMU",
            title="G.711 µ-law",
            payload_type=0,
            frame=0.000_125,
            frame_bytes=1,
            ie=0,
            bpl=4.3,
            concealed_bpl=25.1,
            silence=b"\xff",
        ),
        Codec(
            name="G729",
            title="G.729A with silence suppression",
            payload_type=18,
            frame=0.01,
            frame_bytes=10,
            look_ahead=0.005,
            ie=11,
            bpl=19,
            format="annexb=yes",
        ),
        Codec(
            name="G723",
            title="G.723.1 at 6.3 kbit/s with silence suppression",
            payload_type=4,
            frame=0.03,
            frame_bytes=24,
            look_ahead=0.0075,
            packet_time=0.03,
            ie=15,
            bpl=16.1,
            format="bitrate=6.3;annexa=yes",
        ),
        Codec(
            name="GSM-EFR",
            title="GSM enhanced full rate",
            payload_type=97,
            frame=0.02,
            frame_bytes=31,
            ie=5,
            bpl=10,
        ),
    )
}
"""By name: G.711 with and without concealment (its appendix I), G.729A+VAD, G.723.1+VAD, GSM-EFR."""
