"""Last line of defense: keeps this process from connecting outside the address policy.

`connections` checks our own requests by name and by address and reports problems in the user's
terms. But the libraries that find credentials use their own HTTP clients, which an
InferenceService's environment variables can point anywhere (AWS_ENDPOINT_URL_STS,
AWS_CONTAINER_CREDENTIALS_FULL_URI, GCE_METADATA_HOST, a proxy, ...). A Python audit hook sees every
connection and datagram that Python code is about to send, with its actual destination address, so
variables added by later library releases cannot bypass the policy. The C library's name lookups
are not checked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from model_server.download.addresses import AddressPolicy, parse_address
from model_server.download.errors import AddressNotAllowed

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# Audit hooks cannot be removed: we add one, which does nothing while this list is empty.
_policies: list[AddressPolicy] = []
_installed: list[bool] = []


@contextmanager
def guarded(policy: AddressPolicy) -> Iterator[None]:
    """Checks every connection of the process for the duration of the block.

    Raises:
        AddressNotAllowed: inside the block, from the call that tries to connect.
    """
    if not _installed:
        sys.addaudithook(_audit)
        _installed.append(True)
    _policies.append(policy)
    try:
        yield
    finally:
        _policies.remove(policy)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in _EVENTS and _policies and (destination := arguments[1]) is not None:
        judge(destination, _policies[-1])


def judge(destination: object, policy: AddressPolicy) -> None:
    """Checks the argument of `connect`: a tuple starting with host and port, or a Unix socket path.

    Raises:
        AddressNotAllowed: if the destination is not allowed or is not an IP address.
    """
    host = destination[0] if isinstance(destination, tuple) and destination else None
    try:
        address = parse_address(host) if isinstance(host, str) else None
    except ValueError:
        address = None
    if address is None:
        raise AddressNotAllowed("a library wanted to connect to something that is no IP address")
    if why := policy.refusal(address):
        raise AddressNotAllowed(
            f"{address} ({why}) is not allowed; it comes from a redirect, a proxy or an endpoint "
            "for credentials in the environment, and only the platform's owner can allow it "
            "(--allow-address CIDR; --instance-credentials for the metadata service)"
        )
