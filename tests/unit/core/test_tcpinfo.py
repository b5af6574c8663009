import socket
import struct

import pytest

from streamswarm_core.tcpinfo import TcpInfo, read_tcp_info


def recorded() -> bytes:
    """A struct tcp_info of 232 bytes, as Linux 5.4 gives it, with a value of its own in every word."""
    head = struct.pack("@8B", 1, 3, 0, 0, 0, 1 | 2 | 4, 0x97, 1)
    words = struct.pack("@24I", *range(100, 124))
    longs = struct.pack("@4Q", *range(200, 204)) + struct.pack("@6I", *range(300, 306))
    return head + words + longs + struct.pack("@4Q2I2Q4I", *range(400, 404), 410, 411, 420, 421, *range(430, 434))


def test_every_word_is_read_from_its_place() -> None:
    info = TcpInfo.parse(recorded())
    assert (info.ca_state, info.timestamps, info.sack, info.ecn, info.app_limited) == (3, True, True, False, True)
    assert (info.scale_remote, info.scale_local) == (7, 9)
    assert (info.mss, info.unacked, info.sacked, info.lost, info.retrans) == (102, 104, 105, 106, 107)
    assert (info.rtt, info.rttvar, info.ssthresh, info.cwnd) == (115e-6, 116e-6, 117, 118)
    assert (info.rcv_rtt, info.total_retrans, info.max_pacing_rate) == (121e-6, 123, 201)
    assert (info.bytes_acked, info.bytes_received, info.min_rtt, info.data_segs_out) == (202, 203, 303e-6, 305)
    assert info.notsent_bytes == 302
    assert (info.delivery_rate, info.busy, info.rwnd_limited, info.sndbuf_limited) == (400, 401e-6, 402e-6, 403e-6)
    assert (info.bytes_sent, info.bytes_retrans, info.dsack_dups, info.reord_seen) == (420, 421, 430, 431)
    assert (info.delivered, info.rcv_ooopack, info.snd_wnd) == (410, 432, 433)


def test_what_an_older_kernel_does_not_know_is_absent_and_not_zero() -> None:
    info = TcpInfo.parse(recorded()[:104])
    assert (info.rtt, info.total_retrans) == (115e-6, 123)
    assert (info.min_rtt, info.busy, info.bytes_acked, info.snd_wnd) == (None, None, None, None)
    # A kernel that ends in the middle of a field doesn't have it.
    assert TcpInfo.parse(recorded()[:166]).delivery_rate is None


def test_what_a_newer_kernel_adds_is_ignored() -> None:
    assert TcpInfo.parse(recorded() + b"\xff" * 200) == TcpInfo.parse(recorded())


def test_the_kernels_signs_for_no_value_are_absent() -> None:
    raw = bytearray(recorded())
    struct.pack_into("@I", raw, 76, 0x7FFFFFFF)
    struct.pack_into("@I", raw, 148, 0xFFFFFFFF)
    struct.pack_into("@Q", raw, 112, 0xFFFFFFFF_FFFFFFFF)
    info = TcpInfo.parse(bytes(raw))
    assert (info.ssthresh, info.min_rtt, info.max_pacing_rate) == (None, None, None)


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="8 bytes are no struct tcp_info"):
        TcpInfo.parse(b"\0" * 8)


def test_this_kernel_tells_of_a_real_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        info = read_tcp_info(client)
    assert info is not None
    assert info.rtt is not None
    assert 0 < info.rtt < 1
    assert (info.total_retrans, info.cwnd > 0, info.mss > 0) == (0, True, True)


def test_a_socket_that_is_not_tcp_tells_nothing() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        assert read_tcp_info(other) is None
