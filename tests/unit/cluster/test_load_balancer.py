"""Addresses of LoadBalancer Services: each gets one, none is given twice, none is kept."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from local_cluster.load_balancer import address_of, changes

POOL = ipaddress.IPv4Network("10.64.6.0/28")


def service(
    name: str, kind: str = "LoadBalancer", address: str = "", load_balancer_class: str = ""
) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": kind}
    if load_balancer_class:
        spec["loadBalancerClass"] = load_balancer_class
    status = {"loadBalancer": {"ingress": [{"ip": address}]} if address else {}}
    return {"metadata": {"namespace": "n", "name": name}, "spec": spec, "status": status}


def keyed(*services: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"n/{s['metadata']['name']}": s for s in services}


def test_a_new_service_gets_the_first_free_address() -> None:
    services = keyed(service("a", address="10.64.6.1"), service("b"))
    assert changes(services, POOL) == {"n/b": "10.64.6.2"}


def test_other_services_get_none() -> None:
    services = keyed(
        service("a", "ClusterIP"),
        service("b", "NodePort"),
        service("c", load_balancer_class="example.com/other"),
    )
    assert changes(services, POOL) == {}


def test_a_service_that_is_no_load_balancer_any_more_loses_its_address() -> None:
    services = keyed(service("a", "ClusterIP", "10.64.6.1"), service("b"))
    assert changes(services, POOL) == {"n/a": "", "n/b": "10.64.6.1"}


def test_when_all_are_given_a_service_stays_pending() -> None:
    services = keyed(*(service(f"s{n}", address=f"10.64.6.{n}") for n in range(1, 15)))
    services |= keyed(service("last"))
    assert changes(services, POOL) == {}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3),
        st.sampled_from(["ClusterIP", "LoadBalancer"]),
        max_size=10,
    )
)
def test_writing_the_changes_leaves_nothing_to_change(kinds: dict[str, str]) -> None:
    services = keyed(*(service(name, kind) for name, kind in kinds.items()))
    for key, address in changes(services, POOL).items():
        services[key] = service(key[2:], services[key]["spec"]["type"], address)
    assert changes(services, POOL) == {}
    given_addresses = [address_of(s) for s in services.values() if address_of(s)]
    assert len(given_addresses) == len(set(given_addresses))
    assert len(given_addresses) == list(kinds.values()).count("LoadBalancer")
