"""Addresses to listen on: every address of both families by default, and how to write one.

Pods of a cluster may have IPv4, IPv6 or both, and a server learns of none of that beforehand.
"""

import contextlib
import socket
from pathlib import Path

_ONLY_V6 = Path("/proc/sys/net/ipv6/bindv6only")


def listen_address(host: str) -> str:
    """The address to bind.

    Args:
        host: An address, a name, or empty for every address. IPv6 may come in brackets.

    Returns:
        Without brackets. For an empty host `::`, which takes IPv4 too, or `0.0.0.0` where the
        system has no IPv6 or keeps the two apart.
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
    """`127.0.0.1:5000` or `[::1]:5000`, as URLs, gunicorn and gRPC write it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
