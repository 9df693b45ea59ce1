"""Connects the cluster's network namespace to the host.

On the host there is one veth device with its routes and one firewall table, both named after the
cluster. Nothing else changes, except for IPv4 forwarding: if it is off, it is enabled for clusters
only and disabled again by the last `down`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from local_cluster.console import say
from local_cluster.errors import ClusterError, CommandError
from local_cluster.processes import run

DEVICE_PREFIX = "iop-"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
FORWARDING_TABLE = "iop-forwarding"
# 10.64.0.0/10 is rarely used: home routers and clouds use 10.0/16, 172.16/12 and 192.168/16.
POOL = ipaddress.IPv4Network("10.64.0.0/10")
BLOCK_PREFIX = 22


@dataclass(frozen=True)
class Network:
    """The addresses of one cluster: a block of 1024, divided into quarters.

    Attributes:
        block: the whole block.
    """

    block: ipaddress.IPv4Network

    def _quarter(self, index: int) -> ipaddress.IPv4Network:
        return list(self.block.subnets(new_prefix=BLOCK_PREFIX + 2))[index]

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """Range of the pods."""
        return self._quarter(0)

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Range of the Services."""
        return self._quarter(1)

    @property
    def load_balancers(self) -> ipaddress.IPv4Network:
        """Range of the addresses of Services of type LoadBalancer."""
        return self._quarter(2)

    @property
    def link(self) -> ipaddress.IPv4Network:
        """Network of the veth pair."""
        return next(self._quarter(3).subnets(new_prefix=30))

    @property
    def machine(self) -> str:
        """Address of the host's end."""
        return str(self.link[1])

    @property
    def node(self) -> str:
        """Address of the cluster's end: the node and the API server."""
        return str(self.link[2])

    @property
    def api_service(self) -> str:
        """Address of the Service `kubernetes`."""
        return str(self.services[1])

    @property
    def dns_service(self) -> str:
        """Address of the Service `kube-dns`."""
        return str(self.services[10])


def routed(text: str) -> list[ipaddress.IPv4Network]:
    """The IPv4 networks, but not default routes, of `ip -json route show table all`."""
    found = []
    for route in json.loads(text or "[]"):
        destination = route.get("dst", "default")
        if destination != "default" and ":" not in destination:
            found.append(ipaddress.IPv4Network(destination, strict=False))
    return found


def choose_block(cluster_id: str, taken: list[ipaddress.IPv4Network]) -> Network:
    """The first free block of the pool, starting at an offset derived from the cluster's ID.

    Clusters started at the same time rarely try the same block, and a cluster usually gets the same
    addresses again.

    Raises:
        ClusterError: no block is free.
    """
    size = 2 ** (32 - BLOCK_PREFIX)
    count = POOL.num_addresses // size
    start = int(cluster_id, 16)
    for offset in range(count):
        first = int(POOL.network_address) + (start + offset) % count * size
        block = ipaddress.IPv4Network((first, BLOCK_PREFIX))
        if not any(block.overlaps(other) for other in taken):
            return Network(block)
    message = f"no free address block in {POOL}; see `ip route show table all`"
    raise ClusterError(message)


def find_block(cluster_id: str) -> Network:
    """An address block that no route on this machine overlaps."""
    taken = routed(run(["ip", "-4", "-json", "route", "show", "table", "all"]))
    return choose_block(cluster_id, taken)


def firewall_rules(device: str, network: Network) -> str:
    """The host's firewall table of one cluster, for `nft -f -`.

    Pods reach what the host reaches, with the host's address. Nothing outside reaches pods through
    the host.
    """
    sources = f"{{ {network.pods}, {network.link} }}"
    return f"""table ip {device}
delete table ip {device}
table ip {device} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {sources} oifname != "{DEVICE_PREFIX}*" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter;
    oifname "{device}" ct state established,related accept
    oifname "{device}" drop
  }}
}}
"""


def forwarding_fence() -> str:
    """A firewall table that limits IPv4 forwarding to clusters."""
    return f"""table ip {FORWARDING_TABLE} {{
  chain forward {{
    type filter hook forward priority filter;
    iifname != "{DEVICE_PREFIX}*" oifname != "{DEVICE_PREFIX}*" drop
  }}
}}
"""


def connect(device: str, network: Network, pid: int) -> None:
    """Create the veth pair into a process's network namespace, with routes and firewall.

    Raises:
        ClusterError: a device, route or table could not be created.
    """
    run(["ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "address", "add", f"{network.machine}/30", "dev", device])
    run(["ip", "link", "set", device, "up"])
    for destination in (network.pods, network.services, network.load_balancers):
        run(["ip", "route", "add", str(destination), "via", network.node, "dev", device])
    run(["nft", "-f", "-"], stdin=firewall_rules(device, network))
    if FORWARDING.read_text().strip() == "0":
        say("Enabling IPv4 forwarding, for pods only, until the last `down`")
        run(["nft", "-f", "-"], stdin=forwarding_fence())
        FORWARDING.write_text("1")


def set_up_inside(network: Network) -> None:
    """Configure the cluster's end of the veth pair; called in its namespace."""
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{network.node}/30", "dev", "eth0"])
    run(["ip", "link", "set", "eth0", "up"])
    run(["ip", "route", "add", "default", "via", network.machine])
    FORWARDING.write_text("1")


def cluster_devices() -> list[str]:
    """The host's veth devices of all running clusters."""
    folder = Path("/sys/class/net")
    return [path.name for path in folder.iterdir() if path.name.startswith(DEVICE_PREFIX)]


def _has_table(name: str) -> bool:
    return f"table ip {name}\n" in run(["nft", "list", "tables", "ip"]) + "\n"


def remove(device: str) -> None:
    """Remove device, routes and firewall table, and forwarding if no other cluster needs it."""
    if os.geteuid() != 0 or shutil.which("nft") is None:
        return
    if (Path("/sys/class/net") / device).exists():
        try:
            run(["ip", "link", "delete", device])
        except CommandError:
            # The kernel deletes it with the namespace of its peer, perhaps at this moment.
            if (Path("/sys/class/net") / device).exists():
                raise
    if _has_table(device):
        run(["nft", "delete", "table", "ip", device])
    if not cluster_devices() and _has_table(FORWARDING_TABLE):
        FORWARDING.write_text("0")
        run(["nft", "delete", "table", "ip", FORWARDING_TABLE])
