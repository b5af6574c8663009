"""The air between an agent and its access point, as far as agents measure it."""

from typing import Final

from streamswarm_core.catalogue.host_net import HOST_WIFI, HOST_WIFI_SCAN
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row

_BY: Final = ("agent", "interface")

WIFI: Final = Board(
    key="wifi",
    title="WiFi",
    about="Signal, rates, retries and how busy the channel is, of every agent's WiFi interfaces.",
    about_measurements=(HOST_WIFI,),
    variables=("site", "agent"),
    rows=(
        Row(
            "Link",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Signal",
                    asks=(over_time(HOST_WIFI, "signal", How.MIN, by=_BY),),
                    floor=None,
                ),
                Panel(
                    kind=Kind.LINES, title="Signal above noise", asks=(over_time(HOST_WIFI, "snr", How.MIN, by=_BY),)
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Weakest and strongest signal",
                    asks=(
                        Ask(
                            HOST_WIFI,
                            (Column("signal_min", How.MIN, "weakest"), Column("signal_max", How.MAX, "strongest")),
                            _BY,
                            "{agent}",
                        ),
                    ),
                    floor=None,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Rates",
                    asks=(
                        Ask(
                            HOST_WIFI,
                            (Column("transmit_rate", name="transmit"), Column("receive_rate", name="receive")),
                            _BY,
                            "{agent}",
                        ),
                    ),
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest state",
                    asks=(
                        table(
                            HOST_WIFI,
                            Column("signal", How.LAST),
                            Column("snr", How.LAST, "SNR"),
                            Column("frequency", How.LAST),
                            Column("ssid", How.LAST, "SSID"),
                            Column("bssid", How.LAST, "BSSID"),
                            by=_BY,
                        ),
                    ),
                    worst="signal",
                    width=24,
                ),
            ),
        ),
        Row(
            "Air",
            (
                Panel(
                    kind=Kind.LINES, title="Retries", asks=(over_time(HOST_WIFI, "retries", How.MAX, by=_BY),), width=8
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Frames given up",
                    asks=(over_time(HOST_WIFI, "failures", How.MAX, by=_BY),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Beacons lost",
                    asks=(over_time(HOST_WIFI, "beacon_losses", How.MAX, by=_BY),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES, title="Channel busy", asks=(over_time(HOST_WIFI, "channel_busy", How.MAX, by=_BY),)
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Networks around",
                    asks=(
                        Ask(
                            HOST_WIFI_SCAN,
                            (Column("networks", How.MAX), Column("same_channel", How.MAX)),
                            _BY,
                            "{agent}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
