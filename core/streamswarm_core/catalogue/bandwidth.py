"""How much a path carries, and what that does to its delay."""

from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS, SEQ, probe_measurement
from streamswarm_core.catalogue.model import BITS_PER_SECOND, BYTES, COUNT, RATIO, SECONDS, Field, Kind, Measurement

_TAGS: Final = ("family", "method")

BANDWIDTH: Final = probe_measurement(
    "bandwidth",
    "How many bits per second reach the other side, each way in turn, and the delay under that load.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("download", BITS_PER_SECOND, "Received by the agent, after the warm-up.", worse="down", feature=True),
    Field("upload", BITS_PER_SECOND, "Received by the other side, after the warm-up.", worse="down", feature=True),
    Field("downloaded", BYTES, "Bytes received by the agent, warm-up included.", kind=Kind.INTEGER),
    Field("uploaded", BYTES, "Bytes received by the other side, warm-up included.", kind=Kind.INTEGER),
    Field("download_seconds", SECONDS, "From the first byte downloaded to the last."),
    Field("upload_seconds", SECONDS, "From the first byte uploaded to the last."),
    Field("streams", COUNT, "Connections at the same time.", kind=Kind.INTEGER),
    Field(
        "retransmits_download",
        COUNT,
        "Segments that the other side's kernel sent again.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("retransmits_upload", COUNT, "Segments that the agent's kernel sent again.", kind=Kind.INTEGER, worse="up"),
    Field("loss_download", RATIO, "Share of the datagrams that didn't reach the agent; by UDP only.", worse="up"),
    Field("loss_upload", RATIO, "Share of the datagrams that didn't reach the other side; by UDP only.", worse="up"),
    Field("jitter_download", SECONDS, "Interarrival jitter at the agent, RFC 3550; by UDP only.", worse="up"),
    Field("jitter_upload", SECONDS, "Interarrival jitter at the other side, RFC 3550; by UDP only.", worse="up"),
    Field("rtt_idle", SECONDS, "Median round-trip time before the load.", worse="up"),
    Field("rtt_download", SECONDS, "Median round-trip time during the download.", worse="up"),
    Field("rtt_upload", SECONDS, "Median round-trip time during the upload.", worse="up"),
    Field(
        "bufferbloat",
        SECONDS,
        "What load adds to the round trip: the larger of rtt_download and rtt_upload, less rtt_idle.",
        worse="up",
        feature=True,
    ),
    tags=_TAGS,
)

BANDWIDTH_SECOND: Final = Measurement(
    "bandwidth_second",
    (*ASSIGNMENT_TAGS, "target", *_TAGS, "direction"),
    (Field("rate", BITS_PER_SECOND, "Received in this second, warm-up included.", worse="down"), SEQ),
    "One second of a bandwidth test, at the time when it began; the tag `direction` is download or upload.",
)

RATES: Final = (BANDWIDTH, BANDWIDTH_SECOND)
