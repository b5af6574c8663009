"""Volume under the surface of range-based precision and recall (VUS-PR).

Paparrizos, Boniol, Palpanas, Tsay, Elmore, Franklin: "Volume Under the Surface: A New Accuracy Evaluation Measure for
Time-Series Anomaly Detection", PVLDB 15(11), 2022. A label's edges are softened with a slope of some width, a range
found anywhere counts as found, and the area under precision over recall is averaged over widths. Unlike point-wise
measures it forgives labels that are a little off; unlike point-adjusted ones it does not reward chance. Two choices
where the paper leaves room: every distinct score is a threshold, and overlapping slopes take the greater label.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_WIDTHS: Final = 11


def ranges_of(labels: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(np.int8), [0]])))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def softened(labels: NDArray[np.bool_], width: int) -> NDArray[np.float64]:
    """Labels 0..1 that rise over half the width before each range and fall over half the width after it."""
    soft = labels.astype(float)
    half = width // 2
    if half:
        slope = np.sqrt(1 - np.arange(1, half + 1) / width)
        for first, last in ranges_of(labels):
            before = soft[max(0, first - half) : first]
            np.maximum(before, slope[: len(before)][::-1], out=before)
            after = soft[last + 1 : last + 1 + half]
            np.maximum(after, slope[: len(after)], out=after)
    return soft


def range_pr(labels: NDArray[np.bool_], scores: NDArray[np.float64], width: int) -> float:
    """Area under range-based precision and recall for one width of the slope.

    Raises:
        ValueError: no point is labelled.
    """
    if not labels.any():
        raise ValueError("no point is labelled, so there is no recall")
    soft = softened(labels, width)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(soft[order])[ends]
    precision = hits / (ends + 1)
    positives = (labels.sum() + soft.sum()) / 2
    half = width // 2
    peaks = np.sort([scores[max(0, first - half) : last + 1 + half].max() for first, last in ranges_of(labels)])
    existence = 1 - np.searchsorted(peaks, scores[order][ends], side="left") / len(peaks)
    recall = np.minimum(hits / positives, 1) * existence
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def vus_pr(labels: NDArray[np.bool_], scores: NDArray[np.float64], widest: int = 100) -> float:
    """The mean of `range_pr` over slopes from none to `widest` points.

    >>> labels = np.array([False] * 50 + [True] * 10 + [False] * 40)
    >>> vus_pr(labels, labels.astype(float), widest=0)
    1.0
    """
    widths = sorted({int(width) for width in np.linspace(0, widest, _WIDTHS)})
    return float(np.mean([range_pr(labels, scores, width) for width in widths]))
