"""Which JSON values are integers."""

import pytest
from pydantic import TypeAdapter, ValidationError

from streamswarm_core.integer import Integer

NUMBERS: TypeAdapter[int] = TypeAdapter(Integer)


@pytest.mark.parametrize("text", ["3", "3.0", "3e0"])
def test_an_integer_may_be_written_with_a_fraction_of_nothing(text: str) -> None:
    number = NUMBERS.validate_json(text)
    assert (number, type(number)) == (3, int)


@pytest.mark.parametrize("text", ["3.5", '"3"', "true", "null", "[3]"])
def test_nothing_else_is_taken_for_one(text: str) -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        NUMBERS.validate_json(text)
