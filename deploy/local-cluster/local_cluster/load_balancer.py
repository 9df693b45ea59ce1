"""Gives Services of type LoadBalancer an address, as a cloud's controller would.

Run by the supervisor as `python -m local_cluster.load_balancer SERVER PKI_FOLDER RANGE`. The
addresses are routed to the node, where kube-proxy answers for them; so they work from the machine
and from the pods. Only the standard library is imported.
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
    """Namespace and name of a Service, which name it among all."""
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def address_of(service: Manifest) -> str:
    """The address that a Service's status names; empty if none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(ingress[0].get("ip", ""))


def wants_address(service: Manifest) -> bool:
    """Whether a Service asks for a load balancer, and not for one of another class."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def changes(services: Services, pool: ipaddress.IPv4Network) -> dict[str, str]:
    """What to write: the new address of each Service that needs one, empty to take one away.

    Args:
        services: all Services, by their key.
        pool: the addresses to give; when all are given, a Service stays pending.
    """
    used = {address_of(service) for service in services.values() if wants_address(service)}
    free = (str(address) for address in pool.hosts() if str(address) not in used)
    wanted: dict[str, str] = {}
    for key, service in sorted(services.items()):
        if wants_address(service) and not address_of(service):
            address = next(free, "")
            if address:
                wanted[key] = address
        elif not wants_address(service) and address_of(service):
            wanted[key] = ""
    return wanted


def write(api: ApiServer, key: str, address: str) -> None:
    """Set the address in a Service's status; a Service that is gone by now is no error."""
    namespace, _, name = key.partition("/")
    balancer = {"ingress": [{"ip": address}]} if address else None
    api.request(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/services/{name}/status",
        json.dumps({"status": {"loadBalancer": balancer}}),
        "application/merge-patch+json",
    )


def follow(api: ApiServer, pool: ipaddress.IPv4Network) -> None:
    """Serve until the API server ends the watch."""
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
    """Serve for ever; the supervisor ends the process."""
    server, pki, pool = arguments
    api = ApiServer(server, Path(pki), CERTIFICATE)
    while True:
        try:
            follow(api, ipaddress.IPv4Network(pool))
        except OSError as error:
            print(f"the API server does not answer: {error}", flush=True)
        time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
