import time

import pytest

from streamswarm_core.patterns import check_pattern, first_found, first_missing, found


@pytest.mark.parametrize(
    "pattern", ["^ok$", ".*ready.*", "a{2,}b{3}", "(?:GET|POST) +/", "[0-9]{1,3}([.][0-9]{1,3}){3}"]
)
def test_a_flat_pattern_is_taken(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|b*)*", "(?:x*y)+", "((a{1,})b)*", "(?P<n>a*)+", "(?=(a+))*b*(c(d*))+"]
)
def test_a_pattern_that_can_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="repeats what is itself repeated"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<1>a)", "a{99999999999}"])
def test_what_is_no_pattern_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        check_pattern(pattern)


def test_patterns_are_found_anywhere() -> None:
    assert found("lab", "hello from the lab\n")
    assert found(".*the.*", "hello from the lab\n")
    assert found("^.*$", "")
    assert first_missing(["hello", "nobody", "none"], "hello") == "nobody"
    assert first_found(["nobody", "ell"], "hello") == "ell"
    assert first_missing([], "") is first_found([], "") is None


def test_a_leading_anything_is_not_searched_for_from_every_position() -> None:
    """Searched as written this takes some ten seconds; the processor's time is what counts, not the machine's load."""
    begun = time.process_time()
    assert not found(".*.*missing", "x" * 100_000)
    assert time.process_time() - begun < 5
