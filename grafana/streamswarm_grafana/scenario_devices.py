"""The scenario's network devices: one switch behind each agent, whose uplink fills up and errs in the fault."""

from typing import Final

TARGETS: Final = dict.fromkeys(("gnmi", "device", "device_interface", "device_value"), ("192.0.2.254:9339",))

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "component": ("system", "Linecard1"),
    "device_interface.interface": ("Ethernet1", "Ethernet2"),
    "leaf": ("fan_speed",),
    "element": ("name=Fan 1",),
}

TEXTS: Final = {
    "method": ("once", "once"),
    "encoding": ("json_ietf", "json_ietf"),
    "oper_status": ("UP", "LOWER_LAYER_DOWN"),
}

FIELDS: Final[dict[str, tuple[float, float]]] = {
    "gnmi.response": (0.08, 0.7),
    "gnmi.age": (0.3, 0.4),
    "gnmi.paths_asked": (8, 8),
    "gnmi.paths_answered": (8, 6),
    "gnmi.notifications": (31, 25),
    "gnmi.updates": (640, 520),
    "gnmi.received": (41_000, 33_000),
    "gnmi.interfaces": (52, 52),
    "gnmi.interfaces_left_out": (0, 0),
    "gnmi.reconnected": (0, 1),
    "device_interface.speed": (10e9, 10e9),
    "device_interface.in_rate": (2.1e9, 9.3e9),
    "device_interface.out_rate": (0.8e9, 6.1e9),
    "device_interface.in_utilisation": (0.21, 0.93),
    "device_interface.out_utilisation": (0.08, 0.61),
    "device_interface.in_packets": (260e3, 1.1e6),
    "device_interface.out_packets": (120e3, 800e3),
    "device_interface.in_errors": (0, 14),
    "device_interface.out_errors": (0, 0),
    "device_interface.in_discards": (0, 3),
    "device_interface.out_discards": (0.2, 450),
    "device_interface.in_fcs_errors": (0, 12),
    "device_interface.carrier_transitions": (0, 0.03),
    "device_interface.resets": (0, 0),
    "device.cpu": (0.22, 0.91),
    "device.memory": (0.48, 0.6),
    "device.memory_used": (3.8e9, 4.8e9),
    "device.memory_total": (8e9, 8e9),
    "device.temperature": (47, 71),
    "device.uptime": (4e6, 4e6),
    "device_value.value": (6_200, 11_500),
    "device_value.rate": (3, 40),
}
