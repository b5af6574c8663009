"""Every measurement StreamSwarm writes, declared once.

Line protocol, Prometheus names, Grafana panels, ML features, the API's result schema and docs/measurements.md are
derived from CATALOGUE.
"""

from typing import Final

from streamswarm_core.catalogue.bandwidth import RATES
from streamswarm_core.catalogue.device import DEVICES
from streamswarm_core.catalogue.distribution import DISTRIBUTIONS
from streamswarm_core.catalogue.host import HOST
from streamswarm_core.catalogue.ml import ML
from streamswarm_core.catalogue.model import Catalogue, Field, Kind, Measurement, Metric, Unit
from streamswarm_core.catalogue.network import NETWORK
from streamswarm_core.catalogue.path import PATH
from streamswarm_core.catalogue.platform import PLATFORM
from streamswarm_core.catalogue.qos import QOS_FAMILY
from streamswarm_core.catalogue.stamp import ONE_WAY
from streamswarm_core.catalogue.tcp import TCP_FAMILY
from streamswarm_core.catalogue.voip import VOICE
from streamswarm_core.catalogue.web import WEB

CATALOGUE: Final = Catalogue(
    (
        *NETWORK,
        *PATH,
        *HOST,
        *ML,
        *PLATFORM,
        *TCP_FAMILY,
        *DISTRIBUTIONS,
        *WEB,
        *QOS_FAMILY,
        *ONE_WAY,
        *RATES,
        *DEVICES,
        *VOICE,
    )
)

__all__ = ["CATALOGUE", "Catalogue", "Field", "Kind", "Measurement", "Metric", "Unit"]
