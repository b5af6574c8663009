"""What the scenario's calls are like: healthy, and in the fault."""

from typing import Final

TAGS: Final[dict[str, tuple[str, ...]]] = {"mode": ("stream", "call"), "codec": ("PCMA",)}

TEXTS: Final = {
    "status": ("completed", "rejected"),
    "quality": ("good", "fair"),
    "media": ("echo", "echo"),
    "responses": ("100 180 200 200", "100 503"),
}

FIELDS: Final[dict[str, tuple[float, float]]] = {
    "voip.mos": (4.05, 2.4),
    "voip.mos_there": (4.05, 2.4),
    "voip.mos_back": (4.08, 3.1),
    "voip.r": (82, 48),
    "voip.r_there": (82, 48),
    "voip.r_back": (83, 61),
    "voip.sent": (500, 500),
    "voip.received": (500, 430),
    "voip.loss": (0.001, 0.14),
    "voip.loss_there": (0.001, 0.11),
    "voip.loss_back": (0.0005, 0.03),
    "voip.late_there": (0.0005, 0.03),
    "voip.late_back": (0.0005, 0.01),
    "voip.burst_ratio_there": (1.0, 3.4),
    "voip.burst_ratio_back": (1.0, 1.6),
    "voip.jitter_there": (0.003, 0.045),
    "voip.jitter_back": (0.002, 0.02),
    "voip.jitter_max_there": (0.006, 0.08),
    "voip.jitter_max_back": (0.004, 0.04),
    "voip.buffer_there": (0.04, 0.16),
    "voip.buffer_back": (0.04, 0.08),
    "voip.mouth_to_ear_there": (0.09, 0.31),
    "voip.mouth_to_ear_back": (0.09, 0.23),
    "voip.stream": (10, 10),
    "voip.codec_efficiency": (0.8, 0.8),
    "voip.dscp_sent": (46, 46),
    "voip.dscp_there": (46, 0),
    "voip.dscp_back": (46, 0),
    "voip.registration": (0.05, 0.6),
    "voip.post_dial_delay": (0.4, 4.5),
    "voip.setup": (1.2, 7.5),
    "voip.teardown": (0.03, 0.4),
    "voip.register_code": (200, 200),
    "voip.invite_code": (200, 503),
    "voip.bye_code": (200, 200),
    "voip.retransmissions": (0, 3),
}
