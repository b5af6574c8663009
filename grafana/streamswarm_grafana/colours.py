"""What is good and what is bad, as colours of limits and of words."""

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from streamswarm_grafana.thresholds import Limits

BEST: Final = "blue"
GOOD: Final = "green"
SUSPICIOUS: Final = "orange"
BAD: Final = "red"


def steps(limits: Limits | None) -> build.ThresholdsConfig:
    """Grafana's thresholds, from the lowest value up."""
    colours = [model.Threshold(None, GOOD)]
    if limits is not None and limits.falling:
        colours = [
            model.Threshold(None, BAD),
            model.Threshold(limits.bad, SUSPICIOUS),
            model.Threshold(limits.warn, GOOD),
        ]
        if limits.best is not None:
            colours.append(model.Threshold(limits.best, BEST))
    elif limits is not None:
        colours += [model.Threshold(limits.warn, SUSPICIOUS), model.Threshold(limits.bad, BAD)]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(colours)


def worded(states: tuple[str, str], alarm: int = 0) -> list[Any]:
    """What 0 and 1 mean, and which of them is bad."""
    shown = {
        str(value): model.ValueMappingResult(word, BAD if value == alarm else GOOD, index=value)
        for value, word in enumerate(states)
    }
    return [model.ValueMap(shown)]
