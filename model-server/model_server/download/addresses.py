"""Decides which addresses a model may be fetched from.

Any user who may create an InferenceService can choose its storageUri, and the download runs inside
the cluster. Without a check, it would read the cloud's metadata service, the node or another
team's Service on that user's behalf. So only public internet addresses are allowed unless the
platform's owner allows more. The lists come from IANA's special-purpose registries (RFC 6890 and
its successors), plus the addresses that clouds add. `ipaddress.is_global` is not used because its
answers have changed between Python patch releases.

Pure: names are resolved elsewhere, and every address they resolve to is checked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORBIDDEN_V4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared, carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "Azure's platform service"),
    ("169.254.0.0/16", "link-local, cloud metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "special-purpose"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
# In IPv6, only 2000::/3 is public; these ranges inside it are not.
_FORBIDDEN_V6: tuple[tuple[str, str], ...] = (
    ("2001::/23", "special-purpose, with Teredo"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
)
_NAMED_V6: tuple[tuple[str, str], ...] = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
)
_PUBLIC_V6 = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")

# Internal names, whatever they resolve to. Addresses are checked too; this fails earlier.
_INNER_NAMES = re.compile(
    r"(^|\.)(localhost|svc|cluster\.local|internal|local|localdomain|home\.arpa)$"
    r"|^(metadata|instance-data|kubernetes)(\.|$)"
)


# Where clouds serve credentials: instance metadata, and the container and pod endpoints.
METADATA_SERVICES: tuple[Network, ...] = (
    ip_network("169.254.169.254"),
    ip_network("169.254.170.2"),
    ip_network("169.254.170.23"),
    ip_network("fd00:ec2::23"),
    ip_network("fd00:ec2::254"),
)


@dataclass(frozen=True)
class AddressPolicy:
    """What the platform's owner allows beyond the public internet.

    Attributes:
        allow_private: Allows all addresses except multicast, unspecified and 0.0.0.0/8.
        allowed: Additional allowed networks.
    """

    allow_private: bool = False
    allowed: tuple[Network, ...] = ()

    def with_metadata_services(self) -> AddressPolicy:
        """Returns a copy that also allows the addresses where clouds serve credentials."""
        return AddressPolicy(self.allow_private, (*self.allowed, *METADATA_SERVICES))

    def refusal(self, address: Address) -> str:
        """Returns why an address is not allowed, or an empty string if it is."""
        inner = unwrap(address)
        if any(inner in network or address in network for network in self.allowed):
            return ""
        kind = special_kind(inner)
        if self.allow_private and kind not in {"multicast", "unspecified", "this network"}:
            return ""
        return kind

    def name_refusal(self, host: str) -> str:
        """Returns why a host name is refused whatever it resolves to, or an empty string.

        Names are not checked once any internal network is allowed, because internal hosts have
        internal names.
        """
        if self.allow_private or self.allowed:
            return ""
        name = host.lower().rstrip(".")
        return "a name inside the cluster or the cloud" if _INNER_NAMES.search(name) else ""


def unwrap(address: Address) -> Address:
    """Returns the IPv4 address inside an IPv4-mapped or NAT64 address, or the address unchanged.

    An IPv6-only cluster reaches every IPv4 host through the NAT64 prefix, so such an address is
    judged by the IPv4 address it embeds.
    """
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def special_kind(address: Address) -> str:
    """Returns what a non-public address is for, such as "loopback"; empty for a public one."""
    if isinstance(address, IPv4Address):
        table = _FORBIDDEN_V4
    elif address in _PUBLIC_V6:
        table = _FORBIDDEN_V6
    else:
        table = (*_NAMED_V6, ("::/0", "not public"))
    for network, kind in table:
        if address in ip_network(network):
            return kind
    return ""


def parse_network(text: str) -> Network:
    """Parses a network such as `10.0.0.0/8`, or a single address.

    Raises:
        ValueError: if the text is neither.
    """
    return ip_network(text.strip(), strict=False)


def parse_address(text: str) -> Address:
    """Parses an address as returned by the resolver, dropping an IPv6 zone (`%eth0`).

    Raises:
        ValueError: if the text is not an IP address.
    """
    return ip_address(text.partition("%")[0])
