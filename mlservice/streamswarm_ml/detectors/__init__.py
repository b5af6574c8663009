"""Streaming detectors: each scores a value against what it has seen, then learns it."""

from streamswarm_ml.detectors.bank import Bank, Verdicts
from streamswarm_ml.detectors.base import TOLD_VIEWS, Baseline, Detector, Ending, Verdict, threshold_for
from streamswarm_ml.detectors.detection import Detection, detect, detect_anomalies, detect_many
from streamswarm_ml.detectors.state import STATE_THRESHOLD, StateDetector
from streamswarm_ml.detectors.stream import StreamDetector

__all__ = [
    "STATE_THRESHOLD",
    "TOLD_VIEWS",
    "Bank",
    "Baseline",
    "Detection",
    "Detector",
    "Ending",
    "StateDetector",
    "StreamDetector",
    "Verdict",
    "Verdicts",
    "detect",
    "detect_anomalies",
    "detect_many",
    "threshold_for",
]
