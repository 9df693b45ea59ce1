"""Addresses to listen on. Pods may have IPv4, IPv6 or both; the default serves all of them."""

import contextlib
import socket
from pathlib import Path

_ONLY_V6 = Path("/proc/sys/net/ipv6/bindv6only")


def listen_address(host: str) -> str:
    """The address to bind.

    Args:
        host: Address or host name; empty for all addresses. IPv6 may be in brackets.

    Returns:
        The address without brackets. For an empty host, `::`, which includes IPv4, or `0.0.0.0`
        where the system has no IPv6 or no dual-stack sockets.
    """
    if host:
        return host.removeprefix("[").removesuffix("]")
    return "::" if socket.has_dualstack_ipv6() and not _keeps_apart() else "0.0.0.0"  # noqa: S104


def _keeps_apart() -> bool:
    with contextlib.suppress(OSError):
        return _ONLY_V6.read_text(encoding="ascii").strip() == "1"
    return False


def family_of(address: str) -> socket.AddressFamily:
    """AF_INET6 for an IPv6 address, else AF_INET."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def host_and_port(address: str, port: int) -> str:
    """`127.0.0.1:5000` or `[::1]:5000`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
