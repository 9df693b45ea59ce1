"""The last guard: no socket of this process connects where the address policy does not allow.

`connections` judges what we ask for, by name and by address, and says what is wrong in the user's
words. But the libraries that find credentials have HTTP clients of their own, which environment
variables of an InferenceService can point anywhere (AWS_ENDPOINT_URL_STS,
AWS_CONTAINER_CREDENTIALS_FULL_URI, GCE_METADATA_HOST, a proxy, ...). An audit hook of the
interpreter sees every connection and datagram that Python code is about to send, with the address
that it really goes to, so no variable of a later release can open a side door. Names are looked up
by the C library, which is not judged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from model_server.download.addresses import AddressPolicy, parse_address
from model_server.download.errors import AddressNotAllowed

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# Hooks cannot be taken back: one is added, and does nothing while no policy is here.
_policies: list[AddressPolicy] = []
_installed: list[bool] = []


@contextmanager
def guarded(policy: AddressPolicy) -> Iterator[None]:
    """For the length of the block every connection of the process is judged.

    Raises:
        AddressNotAllowed: inside the block, out of whatever wanted to connect.
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
    """Judges what was given to `connect`: a pair of host and port, or a path of a local socket.

    Raises:
        AddressNotAllowed: it is not allowed, or is no address.
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
