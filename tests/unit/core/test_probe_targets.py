import pytest

from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.targets import read_host_port, read_upload_target


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.has_target])
def test_a_probe_takes_its_own_example(name: str) -> None:
    SPECS[name].read_target(SPECS[name].example_target)


def test_host_and_port_of_a_name_and_of_both_families() -> None:
    assert read_host_port("a.example:53") == ("a.example", 53)
    assert read_host_port("[2001:db8::1]:443") == ("2001:db8::1", 443)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", ""])
def test_a_port_out_of_range_says_the_range(port: str) -> None:
    with pytest.raises(ValueError, match="a port from 1 to 65535"):
        read_host_port(f"127.0.0.1:{port}")


@pytest.mark.parametrize("target", ["https://a.example/", "http://a.example/ä", "http://a.example/a b", "http://:80/"])
def test_an_upload_goes_to_what_can_stand_in_a_request(target: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        read_upload_target(target)
