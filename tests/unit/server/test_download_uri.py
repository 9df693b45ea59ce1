"""storageUri: what each form names, what is refused, and what is never shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model_server.download.errors import DownloadError, UnsupportedScheme
from model_server.download.uri import (
    BucketUri,
    HttpUri,
    MountedUri,
    OciUri,
    parse_uri,
    redact,
    safe_url,
)

HEX = "ab" * 32


def test_https() -> None:
    uri = parse_uri("https://example.com:8443/a%20b/model.tflite?x=1")
    assert uri == HttpUri(
        "https://example.com:8443/a%20b/model.tflite?x=1",
        "https://example.com:8443/a%20b/model.tflite?***",
    )


def test_credentials_are_taken_out_and_not_shown() -> None:
    uri = parse_uri("HTTPS://user:p%40ss@example.com/m.zip?X-Amz-Signature=abc")
    assert isinstance(uri, HttpUri)
    assert uri.credentials == "user:p@ss"
    assert uri.url == "https://example.com/m.zip?X-Amz-Signature=abc"
    for text in (uri.shown, repr(uri), str(uri)):
        assert "ss" not in text.replace("https", "")
        assert "abc" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/models/a.tflite", BucketUri("s3", "bucket", "models/a.tflite")),
        ("gs://bucket", BucketUri("gs", "bucket", "")),
        ("gs://bucket/folder/", BucketUri("gs", "bucket", "folder/")),
        ("s3://bucket/a%20b+c", BucketUri("s3", "bucket", "a%20b+c")),
        ("oci://ghcr.io/team/model:v1", OciUri("ghcr.io", "team/model", "v1")),
        ("oci://host:5000/model", OciUri("host:5000", "model", "latest")),
        (f"oci://host/a/b@sha256:{HEX}", OciUri("host", "a/b", f"sha256:{HEX}")),
        (f"oci://host/a/b:v1@sha256:{HEX}", OciUri("host", "a/b", f"sha256:{HEX}")),
        ("pvc://claim/path/to", MountedUri("pvc://claim/path/to")),
        ("pvc://claim", MountedUri("pvc://claim/")),
        ("bundled://detector", MountedUri("bundled://detector")),
        ("bundled://classifier", MountedUri("bundled://classifier")),
    ],
)
def test_the_other_forms(text: str, expected: object) -> None:
    assert parse_uri(text) == expected


@pytest.mark.parametrize("scheme", ["https://host/a.zip", "s3://bucket/a.zip", "oci://h/a"])
def test_a_checksum_as_fragment(scheme: str) -> None:
    uri = parse_uri(f"{scheme}#sha256={HEX.upper()}")
    assert not isinstance(uri, MountedUri)
    assert uri.sha256 == HEX
    assert "#" not in uri.shown


@pytest.mark.parametrize(
    ("text", "reason", "complaint"),
    [
        ("model.tflite", "UnsupportedScheme", "has no scheme"),
        ("", "UnsupportedScheme", "has no scheme"),
        ("ftp://host/a", "UnsupportedScheme", "ftp:// is not supported; it must be one of https"),
        ("file:///etc/passwd", "UnsupportedScheme", "file:// is not supported"),
        ("https://", "DownloadFailed", "not an http"),
        ("https:///path", "DownloadFailed", "not an http"),
        ("https://host:99999/", "DownloadFailed", "is not a URL"),
        ("https://[::1/", "DownloadFailed", "is not a URL"),
        ("https://host/a b", "DownloadFailed", "percent-encoded"),
        ("https://host\\@evil/a", "DownloadFailed", "backslash"),
        ("https://host/a\nb", "DownloadFailed", "control character"),
        ("https://host/" + "a" * 5000, "DownloadFailed", "longer than"),
        ("https://host/a#part", "DownloadFailed", "unknown #fragment"),
        ("https://host/a#sha256=12", "DownloadFailed", "64 hex digits"),
        ("s3://", "DownloadFailed", "names no valid bucket"),
        ("s3://Bad_Bucket!/x", "DownloadFailed", "names no valid bucket"),
        ("oci://host", "DownloadFailed", "names no repository"),
        ("oci://host/UPPER", "DownloadFailed", "names no repository"),
        ("oci://user@host/a", "DownloadFailed", "names no repository"),
        ("oci://host/a:bad tag", "DownloadFailed", "has a space"),
        ("oci://host/a:-x", "DownloadFailed", "not a valid tag"),
        ("oci://host/a@sha256:12", "DownloadFailed", "64 hex digits"),
        ("oci://host:port/a", "DownloadFailed", "is not a URL"),
        ("pvc://Claim/x", "DownloadFailed", "names no valid claim"),
        ("pvc://claim/../x", "DownloadFailed", "'..'"),
        ("bundled://unknown", "ModelNotFound", "bundled://detector and bundled://classifier"),
        ("bundled://../x", "ModelNotFound", "the image has no model"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str, complaint: str) -> None:
    with pytest.raises(DownloadError) as caught:
        parse_uri(text)
    assert caught.value.reason == reason
    assert complaint in str(caught.value)


def test_a_wrong_uri_does_not_show_its_credentials() -> None:
    for text in ("user:secret@host", "s3://key:secret@bucket!/x", "oci://u:secret@host/A"):
        with pytest.raises(DownloadError) as caught:
            parse_uri(text)
        assert "secret" not in str(caught.value)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with pytest.raises(UnsupportedScheme) if "://" not in text else _either():
        parse_uri(text)


@given(
    st.sampled_from(["https", "http", "s3", "gs", "oci", "pvc", "bundled", "HTTPS"]),
    st.text(st.characters(codec="utf-8"), max_size=60),
)
def test_any_rest_is_parsed_or_refused(scheme: str, rest: str) -> None:
    with _either():
        uri = parse_uri(f"{scheme}://{rest}")
        assert uri.shown.partition("://")[0] == scheme.lower()
        if isinstance(uri, HttpUri):
            assert "@" not in uri.url.partition("://")[2].partition("/")[0]


@given(st.text(st.characters(codec="ascii", exclude_characters="@/?#\\"), min_size=4))
def test_no_userinfo_is_ever_shown(secret: str) -> None:
    url = f"https://u:{secret}@host/path?{secret}"
    assert safe_url(url) in {"https://host/path?***", "(a malformed URL)"} or "[" in secret


class _either:  # noqa: N801 - reads as a word in a with statement
    """A block that may raise a DownloadError, and nothing else."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, DownloadError)


SECRET = st.text("0123456789abcdefABCDEF/?#@:%+=&;!$-._~", min_size=1, max_size=12).map(
    lambda text: f"SECRET{text}SECRET"
)
PLACES = [
    "{scheme}://user:{secret}@host/m.tflite",
    "{scheme}://{secret}@host/m.tflite",
    "{scheme}://host/m.tflite?sig={secret}",
    "{scheme}://bucket/key?X-Amz-Signature={secret}&x=1",
    "{scheme}://user:{secret}@host:70000/m",
    "{scheme}://user:{secret}@[bad/m",
    "{scheme}://user:{secret}@/m",
    "{scheme}://user:{secret}@registry/Repo:tag",
    "user:{secret}@host/m.tflite?sig={secret}",
    "host/m.tflite?sig={secret}",
    "ftp://user:{secret}@host/m",
]


@example("{scheme}://{secret}@host/m.tflite", "oci", "SECRET?SECRET")
@given(
    st.sampled_from(PLACES),
    st.sampled_from(["https", "http", "s3", "gs", "oci", "pvc", "HTTPS"]),
    SECRET,
)
def test_no_secret_is_shown_wherever_it_is_and_however_it_was_mistyped(
    place: str, scheme: str, secret: str
) -> None:
    """Also a password with a slash, a question mark or a hash that was not encoded."""
    text = place.format(scheme=scheme, secret=secret)
    try:
        uri = parse_uri(text)
    except DownloadError as error:
        said = f"{error} {error!r}"
    else:
        said = f"{uri} {uri!r} {uri.shown}"
    assert "SECRET" not in said


@given(
    st.sampled_from([place for place in PLACES if "://" in place]),
    st.sampled_from(["https", "http"]),
    SECRET,
)
def test_a_librarys_message_is_shown_without_secrets(place: str, scheme: str, secret: str) -> None:
    url = place.format(scheme=scheme, secret=secret)
    said = redact(f"cannot connect to '{url}': it failed")
    assert "SECRET" not in said
