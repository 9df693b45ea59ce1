"""Assigns addresses to Services of type LoadBalancer, as a cloud controller does.

The supervisor runs it as `python -m local_cluster.load_balancer SERVER PKI_FOLDER RANGE`. The
addresses are routed to the node, where kube-proxy handles them, so they work from the host and from
pods. Imports only the standard library.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_cluster.api import ApiServer

if TYPE_CHECKING:
    from local_cluster.api import Manifest

CERTIFICATE = "load-balancer"
RETRY_SECONDS = 1.0
Services = dict[str, dict[str, Any]]


def key_of(service: Manifest) -> str:
    """Namespace and name of a Service."""
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def address_of(service: Manifest) -> str:
    """The address in a Service's status; empty if none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(ingress[0].get("ip", ""))


def needs_address(service: Manifest) -> bool:
    """Whether a Service needs a load balancer of the default class."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def changes(services: Services, pool: ipaddress.IPv4Network) -> dict[str, str]:
    """Changes to make: a new address per Service, or empty to remove its address.

    Args:
        services: all Services by key.
        pool: available addresses; when they are used up, Services stay pending.
    """
    used = {address_of(service) for service in services.values() if needs_address(service)}
    free = (str(address) for address in pool.hosts() if str(address) not in used)
    desired: dict[str, str] = {}
    for key, service in sorted(services.items()):
        if needs_address(service) and not address_of(service):
            address = next(free, "")
            if address:
                desired[key] = address
        elif not needs_address(service) and address_of(service):
            desired[key] = ""
    return desired


def write(api: ApiServer, key: str, address: str) -> None:
    """Set the address in a Service's status; ignores a Service that was deleted."""
    namespace, _, name = key.partition("/")
    balancer = {"ingress": [{"ip": address}]} if address else None
    api.request(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/services/{name}/status",
        json.dumps({"status": {"loadBalancer": balancer}}),
        "application/merge-patch+json",
    )


def follow(api: ApiServer, pool: ipaddress.IPv4Network) -> None:
    """Watch Services until the API server ends the watch."""
    listed = api.get("/api/v1/services")
    if listed is None:
        return
    services: Services = {key_of(service): service for service in listed["items"]}
    for key, address in changes(services, pool).items():
        write(api, key, address)
    version = listed["metadata"]["resourceVersion"]
    for event in api.watch("/api/v1/services", version):
        if event["type"] == "ERROR":
            return
        service = event["object"]
        if event["type"] == "DELETED":
            services.pop(key_of(service), None)
        else:
            services[key_of(service)] = service
        for key, address in changes(services, pool).items():
            write(api, key, address)


def main(arguments: list[str]) -> None:
    """Run until the supervisor ends the process."""
    server, pki, pool = arguments
    api = ApiServer(server, Path(pki), CERTIFICATE)
    while True:
        try:
            follow(api, ipaddress.IPv4Network(pool))
        except OSError as error:
            print(f"the API server is unreachable: {error}", flush=True)
        time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
