from typing import Final

from streamswarm_core.catalogue.common import host_measurement
from streamswarm_core.catalogue.model import (
    BYTES,
    CELSIUS,
    COUNT,
    NUMBER,
    PER_SECOND,
    RATIO,
    RPM,
    SECONDS,
    STATE,
    TEXT,
    VOLTS,
    WATTS,
    Field,
    Kind,
)

HOST_TEMPERATURE: Final = host_measurement(
    "host_temperature",
    "One temperature sensor.",
    Field("temperature", CELSIUS, "Temperature.", worse="up", feature=True),
    Field("high", CELSIUS, "The sensor's own warning level."),
    Field("critical", CELSIUS, "The level at which the hardware protects itself."),
    tags=("chip", "device", "sensor"),
)

HOST_FAN: Final = host_measurement(
    "host_fan",
    "One fan.",
    Field("speed", RPM, "Fan speed.", worse="down"),
    tags=("chip", "device", "sensor"),
)

HOST_VOLTAGE: Final = host_measurement(
    "host_voltage",
    "One voltage that a chip watches.",
    Field("voltage", VOLTS, "Voltage."),
    tags=("chip", "device", "sensor"),
)

HOST_POWER: Final = host_measurement(
    "host_power",
    "What one part of the host draws: by RAPL over the time since the last run, by other chips right now.",
    Field("power", WATTS, "Power."),
    tags=("chip", "device", "sensor"),
)

HOST_POWER_SUPPLY: Final = host_measurement(
    "host_power_supply",
    "One battery or mains adapter.",
    Field("online", STATE, "1 if it feeds the host; mains only.", kind=Kind.INTEGER, worse="down"),
    Field("charge", RATIO, "How full the battery is.", worse="down"),
    Field("status", TEXT, "Charging, discharging, full.", kind=Kind.STRING),
    Field("power", WATTS, "Power into or out of the battery."),
    Field("voltage", VOLTS, "Voltage."),
    Field("health", RATIO, "What a full battery holds, of what it held when new.", worse="down"),
    Field("cycles", COUNT, "Times that it was charged.", kind=Kind.INTEGER, worse="up"),
    tags=("supply", "kind"),
)

HOST_ECC: Final = host_measurement(
    "host_ecc",
    "Memory errors that one controller, or one of its modules, saw (EDAC).",
    Field("corrected", COUNT, "Errors corrected since boot.", kind=Kind.INTEGER, worse="up"),
    Field("uncorrected", COUNT, "Errors not corrected since boot.", kind=Kind.INTEGER, worse="up"),
    Field("corrected_rate", PER_SECOND, "Errors corrected since the last run.", worse="up"),
    Field("uncorrected_rate", PER_SECOND, "Errors not corrected since the last run.", worse="up"),
    tags=("controller", "module"),
)

HOST_SMART: Final = host_measurement(
    "host_smart",
    "One disk's health by its own account (SMART), read seldom and repeated in between.",
    Field("age", SECONDS, "How long ago the disk was asked."),
    Field("healthy", STATE, "1 if the disk thinks that it will not fail soon.", kind=Kind.INTEGER, worse="down"),
    Field("temperature", CELSIUS, "Temperature.", worse="up"),
    Field("power_on", SECONDS, "How long it has been on in its life."),
    Field("power_cycles", COUNT, "Times that it was switched on.", kind=Kind.INTEGER),
    Field("wear", NUMBER, "Share of its rated life that is used up; may pass 1.", worse="up"),
    Field("spare", RATIO, "Spare blocks left (NVMe).", worse="down"),
    Field("reallocated", COUNT, "Sectors replaced by spare ones.", kind=Kind.INTEGER, worse="up"),
    Field("pending", COUNT, "Sectors that can't be read and wait to be replaced.", kind=Kind.INTEGER, worse="up"),
    Field("uncorrectable", COUNT, "Sectors that could not be read offline.", kind=Kind.INTEGER, worse="up"),
    Field("link_errors", COUNT, "Checksum errors between disk and host: the cable.", kind=Kind.INTEGER, worse="up"),
    Field("media_errors", COUNT, "Errors of the medium (NVMe).", kind=Kind.INTEGER, worse="up"),
    Field(
        "critical_warning", NUMBER, "Bits of what the disk warns of (NVMe); 0 is none.", kind=Kind.INTEGER, worse="up"
    ),
    Field("unsafe_shutdowns", COUNT, "Times that power was lost without notice (NVMe).", kind=Kind.INTEGER),
    Field("written", BYTES, "Bytes written in its life (NVMe).", kind=Kind.INTEGER),
    Field("model", TEXT, "Its model.", kind=Kind.STRING),
    Field("serial", TEXT, "Its serial number.", kind=Kind.STRING),
    Field("firmware", TEXT, "Its firmware.", kind=Kind.STRING),
    tags=("device",),
)

HOST_HARDWARE: Final = (
    HOST_TEMPERATURE,
    HOST_FAN,
    HOST_VOLTAGE,
    HOST_POWER,
    HOST_POWER_SUPPLY,
    HOST_ECC,
    HOST_SMART,
)
