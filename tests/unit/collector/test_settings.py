import pytest

from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.errors import ConfigError

TWICE = '[{"name": "a", "url": "http://127.0.0.1:9"}, {"name": "a", "url": "http://127.0.0.1:8"}]'


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("STORE_MEMORY", "lots", "store_memory): 'lots' is not understood or too little; at least 64MB, such as 512MB"),
        ("STORE_MEMORY", "1TB", "at least 64MB"),
        ("STORE_MEMORY", "63MB", "at least 64MB"),
        ("BUCKET", "a/b", "bucket): 'a/b' can't be a database's name: it has no /"),
        ("RETENTION_DAYS", "0.01", "retention_days): 0.01 is not from an hour (0.042) to 100000 days; 0 keeps"),
        ("RETENTION_DAYS", "1e9", "0 keeps points for ever"),
        ("RETENTION_DAYS", "-1", "0 keeps points for ever"),
        ("RETENTION_DAYS", "nan", "0 keeps points for ever"),
        ("COLD_DAYS", "99999999999", "less than or equal to 100000"),
        ("SINKS", "x", "STREAMSWARM_COLLECTOR_SINKS (or [collector] sinks): not valid JSON"),
        ("SINKS", TWICE, "two sinks are called a; each needs a name of its own"),
        ("EMBEDDED", "false", "[collector]: embedded=false needs at least one sink"),
    ],
)
def test_a_value_that_can_not_work_is_refused_before_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"STREAMSWARM_COLLECTOR_{name}", value)
    with pytest.raises(ConfigError) as refusal:
        CollectorSettings.load()
    assert words in str(refusal.value)
    assert "Value error" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"), [("STORE_MEMORY", "64MB"), ("RETENTION_DAYS", "0"), ("RETENTION_DAYS", "90.5")]
)
def test_values_at_the_bounds_are_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"STREAMSWARM_COLLECTOR_{name}", value)
    assert str(getattr(CollectorSettings.load(), name.lower())).startswith(value)
