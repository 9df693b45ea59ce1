"""Addresses: blocks that overlap nothing, cut into parts that overlap each other nowhere."""

from __future__ import annotations

import ipaddress
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cluster.errors import ClusterError
from local_cluster.network import (
    POOL,
    Network,
    choose_block,
    firewall_rules,
    forwarding_fence,
    routed,
)

CLUSTER_IDS = st.text("0123456789abcdef", min_size=8, max_size=8)
NETWORKS = st.builds(
    lambda number, prefix: ipaddress.IPv4Network((number, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(9, 32),
)


def test_the_parts_of_a_block_are_disjoint_and_inside_it() -> None:
    network = Network(ipaddress.IPv4Network("10.64.4.0/22"))
    parts = [network.pods, network.services, network.load_balancers, network.link]
    assert all(part.subnet_of(network.block) for part in parts)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(parts, 2))


def test_well_known_addresses() -> None:
    network = Network(ipaddress.IPv4Network("10.64.4.0/22"))
    assert (network.machine, network.node) == ("10.64.7.1", "10.64.7.2")
    assert (network.api_service, network.dns_service) == ("10.64.5.1", "10.64.5.10")


@settings(deadline=None)
@given(CLUSTER_IDS, st.lists(NETWORKS, max_size=20))
def test_a_chosen_block_overlaps_nothing_that_is_taken(
    cluster_id: str, taken: list[ipaddress.IPv4Network]
) -> None:
    if any(POOL.subnet_of(other) for other in taken):
        return
    chosen = choose_block(cluster_id, taken)
    assert chosen.block.subnet_of(POOL)
    assert not any(chosen.block.overlaps(other) for other in taken)


@settings(deadline=None)
@given(CLUSTER_IDS)
def test_a_second_cluster_never_gets_the_block_of_the_first(cluster_id: str) -> None:
    first = choose_block(cluster_id, [])
    second = choose_block(cluster_id, [first.pods, first.services, first.link])
    assert not first.block.overlaps(second.block)


def test_the_same_cluster_gets_the_same_block_again() -> None:
    assert choose_block("0badcafe", []) == choose_block("0badcafe", [])


def test_a_full_pool_is_an_error_that_says_where_to_look() -> None:
    with pytest.raises(ClusterError, match="ip route show"):
        choose_block("00000000", [POOL])


def test_routes_are_read_without_the_default_one() -> None:
    routes = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"type": "local", "dst": "127.0.0.1", "dev": "lo"},
        {"dst": "fe80::/64", "dev": "eth0"},
    ]
    assert routed(json.dumps(routes)) == [
        ipaddress.IPv4Network("192.0.2.0/24"),
        ipaddress.IPv4Network("127.0.0.1/32"),
    ]
    assert routed("") == []


def test_the_firewall_table_masquerades_what_leaves_and_lets_nobody_in() -> None:
    network = Network(ipaddress.IPv4Network("10.64.4.0/22"))
    assert (
        firewall_rules("iop-0badcafe", network)
        == """table ip iop-0badcafe
delete table ip iop-0badcafe
table ip iop-0badcafe {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr { 10.64.4.0/24, 10.64.7.0/30 } oifname != "iop-*" masquerade
  }
  chain forward {
    type filter hook forward priority filter;
    oifname "iop-0badcafe" ct state established,related accept
    oifname "iop-0badcafe" drop
  }
}
"""
    )


def test_the_fence_drops_what_neither_comes_from_nor_goes_to_a_cluster() -> None:
    assert 'iifname != "iop-*" oifname != "iop-*" drop' in forwarding_fence()
