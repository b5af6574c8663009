import base64
import json
import struct
from typing import Any

import pytest
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st
from pygnmi.spec.v080 import gnmi_pb2

from streamswarm_agent.gnmi.leaves import decode, flatten, leaves_of, number
from streamswarm_core.gnmipath import GnmiPath
from tests.gnmidevice import to_path

FLOAT = struct.pack(">f", 45.5)
TYPED: dict[str, tuple[dict[str, Any], object, float | None]] = {
    "string_val": ({"string_val": "UP"}, "UP", None),
    "int_val": ({"int_val": -7}, -7, -7),
    "uint_val": ({"uint_val": 2**64 - 1}, 2**64 - 1, 2**64 - 1),
    "bool_val": ({"bool_val": True}, True, 1),
    "bytes_val": ({"bytes_val": FLOAT}, FLOAT, 45.5),
    "float_val": ({"float_val": 1.5}, 1.5, 1.5),
    "double_val": ({"double_val": 0.1}, 0.1, 0.1),
    "decimal_val": ({"decimal_val": gnmi_pb2.Decimal64(digits=455, precision=1)}, 45.5, 45.5),
    "leaflist_val": (
        {"leaflist_val": gnmi_pb2.ScalarArray(element=[gnmi_pb2.TypedValue(uint_val=n) for n in (1, 2)])},
        [1, 2],
        None,
    ),
    "any_val": (
        {"any_val": any_pb2.Any(type_url="t/Some", value=b"1234")},
        "(4 bytes of t/Some)",
        None,
    ),
    "json_val": ({"json_val": b'{"a": 1}'}, {"a": 1}, None),
    "json_ietf_val": ({"json_ietf_val": b'"18446744073709551615"'}, "18446744073709551615", 2**64 - 1),
    "ascii_val": ({"ascii_val": "12"}, "12", 12),
    "proto_bytes": ({"proto_bytes": b"\x08\x01\x02\x03"}, "(4 bytes of protobuf)", None),
}


def test_there_is_a_case_for_every_kind_of_value() -> None:
    assert set(TYPED) == {field.name for field in gnmi_pb2.TypedValue.DESCRIPTOR.fields}


@pytest.mark.parametrize("kind", TYPED)
def test_a_value_of_each_kind_is_decoded(kind: str) -> None:
    given_as, decoded, _ = TYPED[kind]
    assert decode(gnmi_pb2.TypedValue(**given_as)) == decoded


@pytest.mark.parametrize("kind", [kind for kind in TYPED if kind not in {"leaflist_val", "json_val"}])
def test_a_value_of_each_kind_is_a_number_or_is_none(kind: str) -> None:
    given_as, _, expected = TYPED[kind]
    assert number(decode(gnmi_pb2.TypedValue(**given_as))) == expected


@pytest.mark.parametrize(
    "value",
    ["", "UP", "nan", "inf", "-inf", "1e999", "9" * 400, 2**64, 1e30, float("nan"), b"123", b"\x7f\xc0\x00\x00"],
)
def test_what_is_no_number_of_a_device_is_none(value: Any) -> None:
    assert number(value) is None


@given(st.integers(-(2**63), 2**64 - 1))
def test_whole_numbers_of_64_bits_are_kept_exactly_in_every_encoding(value: int) -> None:
    kinds: list[dict[str, bytes | int]] = [
        {"json_ietf_val": json.dumps(str(value)).encode()},
        {"json_val": json.dumps(value).encode()},
    ]
    kinds.append({"int_val": value} if value < 0 else {"uint_val": value})
    assert {number(decode(gnmi_pb2.TypedValue(**kind))) for kind in kinds} == {value}


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60))
def test_four_bytes_are_a_float_also_in_base64(value: float) -> None:
    four = struct.pack(">f", value)
    assert number(four) == value
    assert number(base64.b64encode(four).decode()) == value


def test_a_value_of_no_kind_and_broken_json_are_refused() -> None:
    for typed in (
        gnmi_pb2.TypedValue(),
        gnmi_pb2.TypedValue(json_val=b"{"),
        gnmi_pb2.TypedValue(json_ietf_val=b"\xff"),
    ):
        with pytest.raises(ValueError, match=r"no kind|Expecting|utf-8"):
            decode(typed)


def test_a_tree_of_json_is_one_leaf_for_each_scalar_with_the_keys_of_its_lists() -> None:
    tree = {
        "openconfig-interfaces:interface": [
            {"name": "Ethernet1", "state": {"counters": {"in-octets": "5"}, "oper-status": "UP"}},
            {"unkeyed": True},
        ],
        "nothing": None,
        "tags": ["a", "b"],
    }
    assert {str(GnmiPath(path)): value for path, value in flatten((), tree)} == {
        "/interface[name=Ethernet1]/name": "Ethernet1",
        "/interface[name=Ethernet1]/state/counters/in-octets": "5",
        "/interface[name=Ethernet1]/state/oper-status": "UP",
        "/interface[position=1]/unkeyed": True,
        "/tags": "a, b",
    }


def test_a_notifications_prefix_and_time_are_those_of_its_values() -> None:
    update = gnmi_pb2.Update(path=to_path("/state/mtu"), val=gnmi_pb2.TypedValue(uint_val=9000))
    prefix = to_path("/openconfig-interfaces:interfaces/interface[name=e1]")
    stamped = gnmi_pb2.Notification(timestamp=7, prefix=prefix, update=[update])
    (leaf,) = leaves_of(stamped, arrived_ns=99)
    assert (str(leaf.path), leaf.value, leaf.time_ns) == ("/interfaces/interface[name=e1]/state/mtu", 9000, 7)
    (unstamped,) = leaves_of(gnmi_pb2.Notification(update=[update]), arrived_ns=99)
    assert unstamped.time_ns == 99


def test_paths_of_the_old_form_are_read_too() -> None:
    old = gnmi_pb2.Path(element=["system", "state"])
    update = gnmi_pb2.Update(path=old, val=gnmi_pb2.TypedValue(uint_val=1))
    (leaf,) = leaves_of(gnmi_pb2.Notification(timestamp=1, update=[update]), 1)
    assert str(leaf.path) == "/system/state"


def test_a_value_that_can_not_be_read_is_named_with_its_path() -> None:
    update = gnmi_pb2.Update(path=to_path("/a/b"), val=gnmi_pb2.TypedValue(json_val=b"{"))
    with pytest.raises(ValueError, match=r"^/a/b: "):
        list(leaves_of(gnmi_pb2.Notification(update=[update]), 1))
