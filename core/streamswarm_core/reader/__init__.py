"""Reads series from whatever store the collector stands before."""

from streamswarm_core.reader.influxql import InfluxQLReader, Series
from streamswarm_core.reader.select import Aggregate, Condition, Fill, Select

__all__ = ["Aggregate", "Condition", "Fill", "InfluxQLReader", "Select", "Series"]
