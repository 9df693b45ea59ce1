"""The server's address, as people type it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_client.address import parse_address
from inference_client.errors import InvalidAddress


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://35.193.230.83/", "http://35.193.230.83"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost", "http://localhost"),
        ("HTTPS://Models.example.com/detector/", "https://Models.example.com/detector"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
    ],
)
def test_what_people_type(typed: str, base: str) -> None:
    assert parse_address(typed) == base


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("", "has no host"),
        ("http://", "has no host"),
        ("ftp://host", "must start with http:// or https://"),
        ("http://host:99999", "is not a URL"),
        ("http://host:port", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://user:secret@host", "only have a scheme, host, port and path"),
        ("http://host/?a=b", "only have a scheme, host, port and path"),
        ("http://my host", "spaces"),
    ],
)
def test_what_is_wrong_is_said(typed: str, complaint: str) -> None:
    with pytest.raises(InvalidAddress, match=complaint) as caught:
        parse_address(typed)
    assert "http://127.0.0.1:5000" in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    try:
        base = parse_address(text)
    except InvalidAddress:
        return
    assert base.startswith(("http://", "https://"))
    assert not base.endswith("/")
    assert parse_address(base) == base
