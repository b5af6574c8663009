"""Streaming detectors, one a file: each scores a value against what it has seen, then learns it."""

from streamswarm_ml.detectors.base import Detector, Verdict
from streamswarm_ml.detectors.ensemble import Ensemble
from streamswarm_ml.detectors.range_novelty import RangeNovelty
from streamswarm_ml.detectors.state import StateDetector

__all__ = ["Detector", "Ensemble", "RangeNovelty", "StateDetector", "Verdict"]
