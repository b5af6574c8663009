"""What calls would sound like, what the network does to speech, and how calls are set up."""

from typing import Final

from streamswarm_core.catalogue.voip import VOIP
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row
from streamswarm_grafana.thresholds import Limits

_BY: Final = ("agent", "target", "mode")
_SEEN: Final = "{agent} → {target} {mode}"
_CALL: Final = {"mode": "call"}
_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"
_WORST_MOS: Final = 1.0


def _ways(title: str, field: str, how: How = How.MEAN, *, note: str = "", floor: float = 0) -> Panel:
    columns = (Column(f"{field}_there", how, "there"), Column(f"{field}_back", how, "back"))
    return Panel(kind=Kind.LINES, title=title, asks=(Ask(VOIP, columns, _BY, _SEEN),), width=8, note=note, floor=floor)


def _lines(title: str, field: str, how: How = How.MEAN, *, width: int = 8, note: str = "", floor: float = 0) -> Panel:
    asks = (over_time(VOIP, field, how, by=_BY, legend=_SEEN),)
    return Panel(kind=Kind.LINES, title=title, asks=asks, width=width, note=note, floor=floor)


VOIP_BOARD: Final = Board(
    key="voip",
    title="VoIP",
    about="What calls would sound like in each direction, what the network does to speech, and how calls are set up.",
    about_measurements=(VOIP,),
    rows=(
        Row(
            "Quality",
            (
                Panel(
                    kind=Kind.TILES,
                    title="MOS of the last quarter of an hour",
                    asks=(Ask(VOIP, (Column("mos", How.MIN, "worst run"), Column("mos", How.MEAN, "mean")), now=True),),
                    width=24,
                    height=5,
                    note="Blue is excellent, green good, orange fair, red poor. Which run was worst is said below, in Newest runs.",
                    drill=("qos", "latency", "paths"),
                ),
                _lines(
                    "MOS",
                    "mos",
                    How.MIN,
                    width=12,
                    note="Excellent from 4, good from 3, fair from 2, else poor.",
                    floor=_WORST_MOS,
                ),
                _lines(
                    "Rating R",
                    "r",
                    How.MIN,
                    width=12,
                    note="From 80 on users are satisfied, below 60 nearly all are not (ITU-T G.109).",
                ),
                _ways("MOS of each direction", "mos", floor=_WORST_MOS),
                _ways(
                    "Delay from mouth to ear", "mouth_to_ear", note="Up to 150 ms is acceptable for most (ITU-T G.114)."
                ),
                _ways("Added by the jitter buffer", "buffer"),
            ),
        ),
        Row(
            "Network",
            (
                _ways("Loss", "loss"),
                _ways("Too late for the jitter buffer", "late"),
                _ways("Burst ratio", "burst_ratio", How.MAX, note="1 is loss at random, more is loss in bursts."),
                _ways("Jitter", "jitter"),
                _ways("Largest jitter", "jitter_max", How.MAX),
                Panel(
                    kind=Kind.LINES,
                    title="Round trip",
                    asks=(
                        Ask(
                            VOIP,
                            (Column("rtt_mean", name="mean"), Column("rtt_max", How.MAX, "longest")),
                            _BY,
                            _SEEN,
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
        Row(
            "Calls",
            (
                Panel(
                    kind=Kind.STATES,
                    title="Calls with speech",
                    asks=(over_time(VOIP, "up", How.MIN, by=_PAIR, legend=_ARROW, where=_CALL),),
                    states=("failed", "heard"),
                    width=24,
                    height=6,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Post-dial delay",
                    asks=(over_time(VOIP, "post_dial_delay", How.MAX, by=_PAIR, legend=_ARROW, where=_CALL),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Set-up and teardown",
                    asks=(Ask(VOIP, (Column("setup", How.MAX), Column("teardown", How.MAX)), _PAIR, _ARROW, _CALL),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Registration",
                    asks=(over_time(VOIP, "registration", How.MAX, by=_PAIR, legend=_ARROW, where=_CALL),),
                    width=8,
                ),
                Panel(
                    kind=Kind.STATES,
                    title="Response codes",
                    asks=(
                        Ask(
                            VOIP,
                            (
                                Column("register_code", How.MAX, "REGISTER"),
                                Column("invite_code", How.MAX, "INVITE"),
                                Column("bye_code", How.MAX, "BYE"),
                            ),
                            _PAIR,
                            _ARROW,
                            _CALL,
                        ),
                    ),
                    unit="none",
                    limits=Limits(400, 500),
                    height=12,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="SIP requests sent again",
                    asks=(over_time(VOIP, "retransmissions", How.MAX, by=_PAIR, legend=_ARROW, where=_CALL),),
                    height=12,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest runs",
                    asks=(
                        table(
                            VOIP,
                            Column("mos", How.LAST, "MOS"),
                            Column("quality", How.LAST),
                            Column("status", How.LAST),
                            Column("loss", How.LAST),
                            Column("setup", How.LAST),
                            Column("invite_code", How.LAST, "INVITE"),
                            Column("responses", How.LAST),
                            Column("error", How.LAST),
                            by=(*_BY, "codec"),
                        ),
                    ),
                    worst="MOS",
                    width=24,
                    most=30,
                ),
            ),
        ),
    ),
)
