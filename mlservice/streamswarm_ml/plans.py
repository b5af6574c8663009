"""What was planned and promised: when nothing is to be judged, what each test's own limits are, and sites' clocks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from streamswarm_core.expectations import Expectations
from streamswarm_core.probespecs import SPECS
from streamswarm_core.thresholds import UnknownField, resolve
from streamswarm_core.zones import UTC_NAME
from streamswarm_ml.detectors.zones import Zones
from streamswarm_ml.maintenance import Maintenance, planned_window
from streamswarm_ml.windows import WINDOW_NS, Reading, Thresholds, Window


def nothing_expected() -> Expectations:
    """For a service without a control plane."""
    return Expectations()


class Plans:
    """The settings' maintenance windows together with what the control plane says.

    Args:
        maintenance: windows of the settings, in force whatever the control plane says.
        expectations: asks for what is expected now.
        time_zone: of the settings, for series whose site has none.
    """

    def __init__(
        self,
        maintenance: Sequence[str] = (),
        expectations: Callable[[], Expectations] = nothing_expected,
        time_zone: str = UTC_NAME,
    ) -> None:
        self._time_zone = time_zone
        self._always = tuple(map(planned_window, maintenance))
        self._expectations = expectations
        self._read: Expectations | None = None
        self._thresholds: Mapping[tuple[str, str], Thresholds] = {}

    def maintenance(self, begin_ns: int, end_ns: int) -> Maintenance:
        """What is maintained in [begin, end), nanoseconds since the epoch."""
        return Maintenance([*self._always, *self._expectations().maintenance], begin_ns, end_ns)

    def applied(self, windows: Iterable[Window], begin_ns: int, end_ns: int) -> Iterator[Window]:
        """The windows without what is maintained in any part of them, each reading with its test's thresholds.

        A window of which nothing is left is left out.

        Args:
            windows: within [begin_ns, end_ns).
            begin_ns: nanoseconds since the epoch.
            end_ns: nanoseconds since the epoch.
        """
        maintenance, thresholds = self.maintenance(begin_ns, end_ns), self.thresholds()

        def kept(reading: Reading, window: Window) -> bool:
            spans = maintenance.of(reading.tag("agent"), reading.tag("test"))
            return not spans.touch(window.start_ns, window.start_ns + WINDOW_NS)

        for window in windows:
            readings = tuple(
                replace(one, thresholds=own) if (own := thresholds.get((one.tag("test"), one.measurement))) else one
                for one in window.readings
                if kept(one, window)
            )
            if readings:
                yield replace(window, readings=readings)

    def zones(self, known: Zones) -> Zones:
        """By which clocks hours are counted: of sites those known so far where the control plane says none."""
        told = self._expectations().time_zones
        return Zones(self._time_zone, known.sites if told is None else told)

    def thresholds(self) -> Mapping[tuple[str, str], Thresholds]:
        """The tests' own thresholds, by the tag `test` and the measurement that each is about."""
        expected = self._expectations()
        if expected is not self._read:
            self._thresholds = _by_measurement(expected)
            self._read = expected
        return self._thresholds


def _by_measurement(expected: Expectations) -> Mapping[tuple[str, str], Thresholds]:
    found: dict[tuple[str, str], Thresholds] = {}
    for test in expected.tests:
        spec = SPECS.get(test.probe)
        if spec is None:
            continue
        for threshold in test.thresholds:
            try:
                measurement, _ = resolve(spec, threshold)
            except UnknownField:  # a field that another version of the probe has
                continue
            key = (test.test, measurement.name)
            found[key] = (*found.get(key, ()), threshold)
    return found
