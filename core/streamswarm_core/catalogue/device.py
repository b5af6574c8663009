"""What network devices say of themselves over gNMI."""

from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS, SEQ, probe_measurement
from streamswarm_core.catalogue.model import (
    BITS_PER_SECOND,
    BYTES,
    CELSIUS,
    COUNT,
    NUMBER,
    PER_SECOND,
    RATIO,
    SECONDS,
    STATE,
    TEXT,
    Field,
    Kind,
    Measurement,
)

_TAGS: Final = (*ASSIGNMENT_TAGS, "target")

GNMI: Final = probe_measurement(
    "gnmi",
    "One look at a network device over gNMI: whether it answers, how fast, and to which paths.",
    Field("resolve", SECONDS, "Name resolution; absent for an address, and on a kept connection.", worse="up"),
    Field("connect", SECONDS, "TCP connection set-up; absent on a kept connection.", worse="up"),
    Field("handshake", SECONDS, "TLS handshake; absent on a kept connection, and without TLS.", worse="up"),
    Field("capabilities", SECONDS, "Answer to Capabilities; absent on a kept connection.", worse="up"),
    Field(
        "response",
        SECONDS,
        "From asking for all paths until the last of the answer was there.",
        worse="up",
        feature=True,
    ),
    Field("reconnected", STATE, "1 if this run had to connect.", kind=Kind.INTEGER),
    Field("paths_asked", COUNT, "Paths that the device was asked for.", kind=Kind.INTEGER),
    Field(
        "paths_answered",
        COUNT,
        "Of these, the paths that it had any value for; error_detail names the others.",
        kind=Kind.INTEGER,
        worse="down",
    ),
    Field("notifications", COUNT, "Notifications that it answered with.", kind=Kind.INTEGER),
    Field("updates", COUNT, "Values in them, counted one by one.", kind=Kind.INTEGER),
    Field("received", BYTES, "Bytes of the answers' messages, before TLS and HTTP/2.", kind=Kind.INTEGER),
    Field("age", SECONDS, "Age of its newest time stamp by the agent's clock; holds the clocks' difference too."),
    Field("interfaces", COUNT, "Interfaces that it has, after the filter.", kind=Kind.INTEGER),
    Field(
        "interfaces_left_out",
        COUNT,
        "Interfaces that were not written because of max_interfaces.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("method", TEXT, "How it was asked: once (Subscribe) or get.", kind=Kind.STRING),
    Field("encoding", TEXT, "Encoding that it was asked to answer in.", kind=Kind.STRING),
    Field("version", TEXT, "Version of gNMI that it speaks.", kind=Kind.STRING),
    tags=("family",),
)

DEVICE_INTERFACE: Final = Measurement(
    "device_interface",
    (*_TAGS, "interface"),
    (
        Field("oper_up", STATE, "1 if the interface's operational status is up.", kind=Kind.INTEGER, worse="down"),
        Field("oper_status", TEXT, "Operational status, in the words of openconfig-interfaces.", kind=Kind.STRING),
        Field("admin_up", STATE, "1 if the interface is meant to be up.", kind=Kind.INTEGER),
        Field("speed", BITS_PER_SECOND, "Speed of the port, or of the aggregate; absent where the device has none."),
        Field("in_rate", BITS_PER_SECOND, "Received, over the device's own time since the last run.", feature=True),
        Field("out_rate", BITS_PER_SECOND, "Sent, over the device's own time since the last run.", feature=True),
        Field("in_utilisation", RATIO, "Share of the speed in use, receiving.", worse="up"),
        Field("out_utilisation", RATIO, "Share of the speed in use, sending.", worse="up"),
        Field("in_packets", PER_SECOND, "Packets received."),
        Field("out_packets", PER_SECOND, "Packets sent."),
        Field("in_errors", PER_SECOND, "Packets received with an error.", worse="up"),
        Field("out_errors", PER_SECOND, "Packets that couldn't be sent for an error.", worse="up"),
        Field("in_discards", PER_SECOND, "Packets received without error and discarded.", worse="up"),
        Field(
            "out_discards", PER_SECOND, "Packets to be sent, without error, and discarded: a full queue.", worse="up"
        ),
        Field("in_fcs_errors", PER_SECOND, "Frames received with a wrong checksum: cable, plug, optics.", worse="up"),
        Field("carrier_transitions", PER_SECOND, "Times that the link came or went.", worse="up"),
        Field(
            "resets",
            COUNT,
            "Counters that begin anew since the last run; they have no rate in this one.",
            kind=Kind.INTEGER,
        ),
        SEQ,
    ),
    "One interface of a network device; rates are from its counters and its own time stamps.",
)

DEVICE: Final = Measurement(
    "device",
    (*_TAGS, "component"),
    (
        Field("cpu", RATIO, "Share of the processor's time in use.", worse="up", feature=True),
        Field("memory", RATIO, "Share of the memory in use.", worse="up", feature=True),
        Field("memory_used", BYTES, "Memory in use.", worse="up"),
        Field("memory_total", BYTES, "Memory that there is."),
        Field("temperature", CELSIUS, "Temperature.", worse="up"),
        Field("temperature_alarm", STATE, "1 if the device calls it too hot.", kind=Kind.INTEGER, worse="up"),
        Field("uptime", SECONDS, "Since the device was started, by its own clock."),
        SEQ,
    ),
    "Processor, memory and temperature of a network device; component is `system` for all of it together.",
)

DEVICE_VALUE: Final = Measurement(
    "device_value",
    (*_TAGS, "leaf", "element"),
    (
        Field("value", NUMBER, "The value; true and false are 1 and 0."),
        Field("rate", PER_SECOND, "Growth over the device's own time since the last run; of counters only."),
        SEQ,
    ),
    "A path of a test's own: leaf is the name that the test gave it, element the keys of the list entry it is in.",
)

DEVICES: Final = (GNMI, DEVICE_INTERFACE, DEVICE, DEVICE_VALUE)
