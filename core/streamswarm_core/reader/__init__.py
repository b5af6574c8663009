"""Reads series from whatever store the points are in."""

from streamswarm_core.reader.influxql import InfluxQLReader
from streamswarm_core.reader.opening import StoreSettings, TokenFile, open_reader
from streamswarm_core.reader.promnaming import SCRAPED, WRITTEN
from streamswarm_core.reader.promql import PromQLReader
from streamswarm_core.reader.protocol import Reader
from streamswarm_core.reader.select import Aggregate, Condition, Fill, Select
from streamswarm_core.reader.series import Series

__all__ = [
    "SCRAPED",
    "WRITTEN",
    "Aggregate",
    "Condition",
    "Fill",
    "InfluxQLReader",
    "PromQLReader",
    "Reader",
    "Select",
    "Series",
    "StoreSettings",
    "TokenFile",
    "open_reader",
]
