"""Every dashboard, in the order of the menu."""

from typing import Final

from streamswarm_grafana.boards.devices import DEVICES_BOARD
from streamswarm_grafana.boards.hosts import HOSTS
from streamswarm_grafana.boards.latency import LATENCY
from streamswarm_grafana.boards.ml import ML_BOARD
from streamswarm_grafana.boards.overview import OVERVIEW
from streamswarm_grafana.boards.paths import PATHS
from streamswarm_grafana.boards.platform import PLATFORM
from streamswarm_grafana.boards.qos import QOS_BOARD
from streamswarm_grafana.boards.tcp import TCP_BOARD
from streamswarm_grafana.boards.voip import VOIP_BOARD
from streamswarm_grafana.boards.web import WEB
from streamswarm_grafana.boards.wifi import WIFI
from streamswarm_grafana.panel import Board

BOARDS: Final[tuple[Board, ...]] = (
    OVERVIEW,
    LATENCY,
    PATHS,
    WEB,
    TCP_BOARD,
    QOS_BOARD,
    VOIP_BOARD,
    WIFI,
    HOSTS,
    DEVICES_BOARD,
    ML_BOARD,
    PLATFORM,
)
