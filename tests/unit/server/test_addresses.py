"""Addresses to listen on, as the system, gunicorn and URLs take them."""

import socket
from pathlib import Path

import pytest

from model_server.process.server import gunicorn_options
from model_server.settings import load_settings
from model_server.system import addresses


@pytest.mark.parametrize(
    ("host", "bind"),
    [
        ("127.0.0.1", "127.0.0.1:5000"),
        ("0.0.0.0", "0.0.0.0:5000"),
        ("::", "[::]:5000"),
        ("::1", "[::1]:5000"),
        ("[::1]", "[::1]:5000"),
        ("fe80::1%eth0", "[fe80::1%eth0]:5000"),
        ("localhost", "localhost:5000"),
    ],
)
def test_gunicorn_gets_the_address_in_its_own_form(host: str, bind: str) -> None:
    assert gunicorn_options(load_settings(host=host))["bind"] == bind


@pytest.mark.parametrize(
    ("both", "apart", "address"),
    [(True, "0", "::"), (True, "1", "0.0.0.0"), (False, "0", "0.0.0.0"), (True, None, "::")],
)
def test_without_a_host_every_address_of_both_families_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, both: bool, apart: str | None, address: str
) -> None:
    file = tmp_path / "bindv6only"
    if apart is not None:
        file.write_text(apart + "\n")
    monkeypatch.setattr(addresses, "_ONLY_V6", file)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: both)
    assert addresses.listen_address("") == address
