"""The address guard: only the public internet, whatever form an address comes in."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.download.addresses import (
    AddressPolicy,
    parse_address,
    parse_network,
    special_kind,
    unwrap,
)

CLOSED = AddressPolicy()
OPEN = AddressPolicy(allow_private=True)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "this network"),
        ("10.96.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.100.100.200", "carrier-grade NAT"),
        ("169.254.169.254", "cloud metadata"),
        ("168.63.129.16", "Azure"),
        ("192.0.0.192", "special-purpose"),
        ("198.18.0.1", "benchmarking"),
        ("203.0.113.9", "documentation"),
        ("224.0.0.251", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "cloud metadata"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::1", "not public"),
        ("::127.0.0.1", "not public"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:4136:e378::", "Teredo"),
        ("2001:db8::1", "documentation"),
        ("fd00:ec2::254", "private"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "not public"),
        ("ff02::1", "multicast"),
    ],
)
def test_inner_addresses(address: str, kind: str) -> None:
    assert kind in CLOSED.refusal(parse_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0"),
        *("169.253.0.1", "168.63.129.17", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"),
        *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
    ],
)
def test_public_addresses(address: str) -> None:
    assert CLOSED.refusal(parse_address(address)) == ""


def test_everything_private_can_be_allowed_but_no_group() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"):
        assert OPEN.refusal(ip_address(address)) == ""
    for address in ("224.0.0.1", "0.0.0.0", "::", "ff02::1"):
        assert OPEN.refusal(ip_address(address))


def test_one_network_can_be_allowed() -> None:
    policy = AddressPolicy(allowed=(parse_network("10.1.0.0/16"), parse_network("fd00::/64")))
    assert policy.refusal(ip_address("10.1.2.3")) == ""
    assert policy.refusal(ip_address("::ffff:10.1.2.3")) == ""
    assert policy.refusal(ip_address("fd00::9")) == ""
    assert policy.refusal(ip_address("10.2.0.1")) == "private"
    assert policy.refusal(ip_address("169.254.169.254"))


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "minio.team.svc",
            "minio.team.svc.cluster.local",
        ),
        *("metadata.google.internal", "metadata", "instance-data", "instance-data.ec2.internal"),
        *("kubernetes.default", "printer.local", "router.home.arpa"),
    ],
)
def test_inner_names(host: str) -> None:
    assert CLOSED.name_refusal(host)
    assert OPEN.name_refusal(host) == ""


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "svc.io", "8.8.8.8"])
def test_outer_names(host: str) -> None:
    assert CLOSED.name_refusal(host) == ""


@given(st.ip_addresses(v=4))
def test_what_ipaddress_calls_private_is_refused(address: IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_loopback or address.is_reserved:
        assert special_kind(address)


@given(st.ip_addresses(v=6))
def test_what_ipaddress_calls_private_is_refused_v6(address: IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_loopback or address.is_link_local:
        assert special_kind(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:", "64:ff9b::"]))
def test_an_address_is_judged_alike_inside_another(address: IPv4Address, prefix: str) -> None:
    wrapped = ip_address(f"{prefix}{address}")
    assert unwrap(wrapped) == address
    assert CLOSED.refusal(wrapped) == CLOSED.refusal(address)


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert isinstance(CLOSED.refusal(address), str)
