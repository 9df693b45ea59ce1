"""`model-server download` over HTTP, against servers that misbehave in every way on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_server.download import archives, main
from support.certificates import server_tls
from support.loopback import Reply, Request, loopback_server

TFLITE = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 2000
SHA256 = hashlib.sha256(TFLITE).hexdigest()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


class Download:
    """Runs the command in this process; loopback is allowed, waits are short."""

    def __init__(self, folder: Path) -> None:
        self.dest = folder / "models"
        self.log = folder / "termination-log"
        self.log.touch()

    def __call__(self, uri: str, *flags: str, allow: str = "127.0.0.1") -> int:
        allowed = ("--allow-address", allow) if allow else ()
        return main(
            [
                *("--uri", uri, "--dest", str(self.dest), "--termination-log", str(self.log)),
                *("--retry-delay", "0.001", *allowed, *flags),
            ]
        )

    def fails(self, uri: str, *flags: str, allow: str = "127.0.0.1") -> str:
        """Runs it, makes sure that it fails and that nothing is visible; returns the reason."""
        assert self(uri, *flags, allow=allow) == 1
        visible = [path.name for path in self.dest.iterdir()] if self.dest.exists() else []
        assert set(visible) <= {".download"}
        (line,) = self.log.read_text().splitlines()
        return line

    def files(self) -> dict[str, bytes]:
        """What the server would see."""
        return {
            path.relative_to(self.dest).as_posix(): path.read_bytes()
            for path in self.dest.rglob("*")
            if path.is_file() and path.name != ".model.json"
        }

    @property
    def marker(self) -> dict[str, Any]:
        return dict(json.loads((self.dest / ".model.json").read_text()))


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path)


def test_one_file(download: Download) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as server:
        assert download(f"{server.url}/a/model.tflite", "--sha256", SHA256) == 0
    assert download.files() == {"model.tflite": TFLITE}
    assert download.log.read_text() == f"sha256:{SHA256}\n", "the operator reads the digest there"
    download.log.write_text("")
    assert download(f"{server.url}/a/model.tflite", "--sha256", SHA256) == 0
    assert download.log.read_text() == f"sha256:{SHA256}\n", "also when it is there already"
    marker = download.marker
    assert marker["uri"] == f"{server.url}/a/model.tflite"
    assert (marker["sha256"], marker["bytes"]) == (SHA256, len(TFLITE))
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_an_archive(download: Download) -> None:
    data = zipped(detect__tflite=TFLITE, labelmap__txt=b"cat\n")
    digest = hashlib.sha256(data).hexdigest()
    with loopback_server(lambda _: Reply(body=data)) as server:
        assert download(f"{server.url}/coco.zip#sha256={digest}") == 0
    assert download.files() == {"detect.tflite": TFLITE, "labelmap.txt": b"cat\n"}


def test_a_name_that_says_nothing(download: Download) -> None:
    reply = Reply(body=TFLITE, headers={"Content-Disposition": 'attachment; filename="x.tflite"'})
    with loopback_server(lambda _: reply) as server:
        assert download(f"{server.url}/download?id=7") == 0
    assert list(download.files()) == ["x.tflite"]
    assert download.marker["uri"].endswith("/download?***")


def test_a_suggested_name_leads_nowhere(download: Download) -> None:
    name = 'attachment; filename="../../../tmp/evil.tflite"'
    reply = Reply(body=TFLITE, headers={"Content-Disposition": name})
    with loopback_server(lambda _: reply) as server:
        assert download(f"{server.url}/download") == 0
    assert list(download.files()) == ["evil.tflite"]


def test_a_second_run_with_the_checksum_asks_nobody(download: Download) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as server:
        for _ in range(2):
            assert download(f"{server.url}/m.tflite", "--sha256", SHA256) == 0
    assert len(server.requests) == 1


def test_a_file_of_an_archive_is_checked(download: Download) -> None:
    archive = zipped(detect__tflite=TFLITE, labels__txt=b"cat\n")
    wanted = ("--file-sha256", f"detect.tflite={SHA256}")
    other = "0" * 64
    with loopback_server(lambda _: Reply(body=archive)) as server:
        uri = f"{server.url}/model.zip"
        said = download.fails(uri, *wanted, "--file-sha256", f"labels.txt={other}")
        assert said.startswith("ChecksumMismatch: labels.txt of http")
        assert f"but {other} was asked for" in said
        said = download.fails(uri, "--file-sha256", f"gone.txt={other}")
        assert "has no file gone.txt" in said
        assert "it has detect.tflite, labels.txt" in said
        assert download(uri, *wanted) == 0
        asked = len(server.requests)
        assert download(uri, *wanted) == 0
        assert len(server.requests) == asked, "what was checked is there already"
        labels = hashlib.sha256(b"cat\n").hexdigest()
        assert download(uri, "--file-sha256", f"labels.txt={labels}") == 0
        assert len(server.requests) == asked + 1, "checked by another file: fetched again"
    assert download.files() == {"detect.tflite": TFLITE, "labels.txt": b"cat\n"}


def test_a_second_run_without_it_fetches_again(download: Download) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as server:
        for _ in range(2):
            assert download(f"{server.url}/m.tflite") == 0
    assert len(server.requests) == 2
    assert download.files() == {"m.tflite": TFLITE}


class Ranges:
    """Serves TFLITE with ranges and an ETag; breaks after `pieces` bytes of every answer."""

    def __init__(self, piece: int, etag: str = '"v1"') -> None:
        self.piece, self.etag = piece, etag

    def __call__(self, request: Request) -> Reply:
        start = 0
        headers = {"ETag": self.etag, "Accept-Ranges": "bytes"}
        if request.headers.get("if-range") == self.etag:
            start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(TFLITE) - 1}/{len(TFLITE)}"
        rest = TFLITE[start:]
        body = rest[: self.piece]
        return Reply(206 if start else 200, body, headers, length=len(rest))


def test_a_connection_that_breaks_is_continued(download: Download) -> None:
    with loopback_server(Ranges(200_000)) as server:
        assert download(f"{server.url}/m.tflite", "--sha256", SHA256) == 0
    asked = [request.headers.get("range") for request in server.requests]
    assert asked == [None, "bytes=200000-", "bytes=400000-"]


def test_the_next_run_goes_on_where_a_killed_one_ended(download: Download) -> None:
    with loopback_server(Ranges(100_000)) as server:
        uri = f"{server.url}/m.tflite"
        reason = download.fails(uri, "--attempts", "2")
        assert "(after 2 tries)" in reason
        server.script = Ranges(len(TFLITE))
        assert download(uri, "--sha256", SHA256) == 0
    assert server.requests[-1].headers["range"] == "bytes=200000-"


def test_a_file_that_changed_is_not_mixed(download: Download) -> None:
    with loopback_server(Ranges(100_000)) as server:
        uri = f"{server.url}/m.tflite"
        download.fails(uri, "--attempts", "1")
        server.script = Ranges(len(TFLITE), '"v2"')
        assert download(uri, "--sha256", SHA256) == 0
    assert server.requests[-1].headers["range"] == "bytes=100000-"


def test_a_wrong_range_is_not_believed(download: Download) -> None:
    wrong = Ranges(100_000)

    def script(request: Request) -> Reply:
        if "range" in request.headers and len(server.requests) < 3:
            headers = {"ETag": '"v1"', "Content-Range": f"bytes 5-{len(TFLITE) - 1}/{len(TFLITE)}"}
            return Reply(206, TFLITE[5:], headers)
        wrong.piece = 100_000 if len(server.requests) == 1 else len(TFLITE)
        return wrong(request)

    with loopback_server(script) as server:
        assert download(f"{server.url}/m.tflite", "--sha256", SHA256) == 0
    assert "range" not in server.requests[-1].headers


def test_a_416_starts_over(download: Download) -> None:
    def script(request: Request) -> Reply:
        if "range" in request.headers:
            return Reply(416)
        return Ranges(100_000 if len(server.requests) == 1 else len(TFLITE))(request)

    with loopback_server(script) as server:
        assert download(f"{server.url}/m.tflite", "--sha256", SHA256) == 0
    assert len(server.requests) == 3


def test_a_busy_server_is_asked_again(download: Download) -> None:
    script = iter([Reply(503), Reply(429, headers={"Retry-After": "0"}), Reply(500)])
    with loopback_server(lambda _: next(script, Reply(body=TFLITE))) as server:
        assert download(f"{server.url}/m.tflite") == 0
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("reply", "flags", "reason"),
    [
        (Reply(404), (), "ModelNotFound: URL answered 404 Not Found; is storageUri right?"),
        (Reply(410), (), "ModelNotFound: "),
        (Reply(403), (), "DownloadFailed: URL answered 403 Forbidden: it wants credentials"),
        (Reply(500), (), "DownloadFailed: URL: URL answered 500 Internal Server Error (after 3"),
        (Reply(418), (), "DownloadFailed: URL answered 418"),
        (Reply(hang_up=True), (), "DownloadFailed: URL: 127.0.0.1: "),
        (Reply(body=TFLITE, length=len(TFLITE) + 5), (), "DownloadFailed: URL: the connection en"),
        (Reply(body=b"<html>"), (), "ModelNotFound: URL should be a tflite file, but it is a web"),
        (Reply(body=TFLITE), ("--max-bytes", "100k"), "ModelTooLarge: URL has more than the 100.0"),
        (Reply(body=TFLITE, length=-1), ("--max-bytes", "100k"), "ModelTooLarge: "),
        (Reply(body=b"x", length=1 << 55), ("--max-bytes", f"{1 << 56}"), "NoSpace: URL needs "),
        (Reply(body=TFLITE), ("--sha256", "0" * 64), "ChecksumMismatch: URL has the SHA-256 "),
        (Reply(body=TFLITE), ("--sha256", "x"), "DownloadFailed: --sha256 must be a SHA-256 of"),
    ],
)
def test_each_failure_has_its_reason(
    reply: Reply, flags: tuple[str, ...], reason: str, download: Download
) -> None:
    with loopback_server(lambda _: reply) as server:
        url = f"{server.url}/m.tflite"
        line = download.fails(url, "--attempts", "3", *flags)
    assert line.replace(url, "URL").startswith(reason)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped(labels__txt=b"x"), "ModelNotFound: "),
        (zipped(a__tflite=TFLITE, b__tflite=TFLITE), "ModelNotFound: "),
        (b"PK\x03\x04 broken", "UnsafeArchive: "),
    ],
)
def test_an_archive_without_one_model(data: bytes, reason: str, download: Download) -> None:
    with loopback_server(lambda _: Reply(body=data)) as server:
        line = download.fails(f"{server.url}/m.zip")
    assert line.startswith(reason)
    assert str(download.dest) not in line
    if b"labels" in data:
        assert line.endswith("it has labels.txt")


def test_an_archive_that_leads_out(download: Download) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil", b"x")
    with loopback_server(lambda _: Reply(body=buffer.getvalue())) as server:
        line = download.fails(f"{server.url}/m.zip")
    assert line == f"UnsafeArchive: {server.url}/m.zip: '../../evil' leads out of its folder"


def test_a_dripping_server_is_given_up(download: Download) -> None:
    def drip() -> Iterator[bytes]:
        while True:
            yield b"x"

    reply = Reply(chunks=drip(), length=1 << 30)
    with loopback_server(lambda _: reply) as server:
        line = download.fails(f"{server.url}/m.tflite", "--timeout", "0.2")
    assert line == "DownloadFailed: the download took longer than 0.2 s (--timeout)"


@pytest.mark.parametrize("piece", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: a"])
def test_headers_that_never_end_are_given_up(piece: bytes, download: Download) -> None:
    """A byte now and then is a sign of life for every single wait, not for the whole."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(piece)
                while not stop.wait(0.02):
                    client.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/m.tflite"
        line = download.fails(uri, "--timeout", "0.5")
        stop.set()
        thread.join()
    assert line == "DownloadFailed: the download took longer than 0.5 s (--timeout)"


def test_unpacking_has_no_more_time_than_the_rest(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forever(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(archives, "unpack_zip", forever)
    with loopback_server(lambda _: Reply(body=zipped(m__tflite=TFLITE))) as server:
        line = download.fails(f"{server.url}/m.zip", "--timeout", "0.5")
    assert line == "DownloadFailed: the download took longer than 0.5 s (--timeout)"
    # What was left half-done does not disturb the next run.
    monkeypatch.undo()
    with loopback_server(lambda _: Reply(body=zipped(m__tflite=TFLITE))) as server:
        assert download(f"{server.url}/m.zip") == 0


def test_an_unexpected_failure_shows_no_value(
    download: Download, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("SECRET")

    monkeypatch.setattr(archives, "unpack_zip", fail)
    with loopback_server(lambda _: Reply(body=zipped(m__tflite=TFLITE))) as server:
        line = download.fails(f"{server.url}/m.zip?sig=SECRET")
    assert line == "DownloadFailed: unexpected TypeError; see the log"
    assert "unexpected TypeError" in caplog.text
    assert "command.py" in caplog.text, "and where it came from"
    assert "SECRET" not in caplog.text.replace('raise TypeError("SECRET")', "")


def test_a_server_writes_no_line_of_its_own(
    download: Download, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it calls its status is quoted in the termination message and on the terminal."""
    reply = Reply(418, reason="no\x1b[2Jtea\x85 InvalidModel: forged")
    with loopback_server(lambda _: reply) as server:
        line = download.fails(f"{server.url}/m.tflite")
    assert line.isprintable()
    assert "\x1b" not in capfd.readouterr().err


def test_a_silent_server_is_given_up(download: Download) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/m.tflite"
        line = download.fails(uri, "--read-timeout", "0.05", "--attempts", "2")
    assert line.endswith("127.0.0.1: it stopped sending (after 2 tries)")


def test_no_server(download: Download) -> None:
    line = download.fails("http://127.0.0.1:1/m.tflite", "--attempts", "2")
    assert line.endswith("127.0.0.1: connection refused (after 2 tries)")


def test_no_such_host(download: Download) -> None:
    line = download.fails("https://no-such-host.invalid/m.tflite", "--attempts", "1", allow="")
    assert line.startswith("DownloadFailed: ")
    assert "no-such-host.invalid" in line


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/model.tflite",
        "http://127.0.0.1:PORT/m.tflite",
        "http://127.1:PORT/m.tflite",
        "http://2130706433:PORT/m.tflite",
        "http://0x7f000001:PORT/m.tflite",
        "http://0.0.0.0:PORT/m.tflite",
        "http://[::1]:PORT/m.tflite",
        "http://[::ffff:127.0.0.1]:PORT/m.tflite",
        "http://localhost:PORT/m.tflite",
        "http://metadata.google.internal/m.tflite",
        "http://10.96.0.1/m.tflite",
        "http://kubernetes.default.svc/m.tflite",
    ],
)
def test_inner_addresses_are_not_asked(url: str, download: Download) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as server:
        line = download.fails(url.replace("PORT", str(server.port)), allow="")
        assert line.startswith("AddressNotAllowed: ")
        assert "--allow-address" in line
        assert server.requests == []


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/x", "http://127.0.0.2/x", "//[::1]/x", "http://127.1.1/x"],
)
def test_a_redirect_inside_is_not_followed(location: str, download: Download) -> None:
    with loopback_server(lambda _: Reply(302, headers={"Location": location})) as server:
        line = download.fails(f"{server.url}/m.tflite")
    assert line.startswith("AddressNotAllowed: ")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/m.tflite", "more than 5 redirects"),
        ("ftp://127.0.0.1/x", "is not an http(s) URL"),
        ("file:///etc/passwd", "is not an http(s) URL"),
        ("http://[::1/x", "DownloadFailed: "),
    ],
)
def test_redirects_that_lead_nowhere(location: str, reason: str, download: Download) -> None:
    with loopback_server(lambda _: Reply(302, headers={"Location": location})) as server:
        assert reason in download.fails(f"{server.url}/m.tflite")


def test_a_redirect_elsewhere_gets_no_credentials(download: Download) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as second:
        target = {"Location": f"{second.url}/m.tflite?sig=1"}
        with loopback_server(lambda _: Reply(307, headers=target)) as first:
            uri = f"{first.url}/m.tflite".replace("://", "://user:secret@")
            assert download(uri) == 0
    assert first.requests[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in second.requests[0].headers
    assert "secret" not in json.dumps(download.marker)


def test_credentials_and_signatures_are_nowhere_in_the_log(
    tmp_path: Path, download: Download
) -> None:
    with loopback_server(lambda _: Reply(500)) as server:
        uri = f"{server.url}/m.tflite?X-Amz-Signature=sig".replace("://", "://user:secret@")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "model_server", "download", "--uri", uri),
                *("--dest", str(tmp_path / "m"), "--allow-private-addresses"),
                *("--attempts", "2", "--retry-delay", "0.01"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "trying again in" in done.stderr
    assert "answered 500" in done.stderr
    for word in ("secret", "=sig", "Traceback"):
        assert word not in done.stdout + done.stderr


def test_the_address_that_was_judged_is_the_one_connected_to(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers differently the second time (DNS rebinding) is not asked twice."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def rebinding(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "rebind.example":
            return real(host, *rest, **more)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with loopback_server(lambda _: Reply(body=TFLITE)) as server:
        assert download(f"http://rebind.example:{server.port}/m.tflite") == 0
    assert asked == ["rebind.example"]
    assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"


def test_only_the_allowed_ones_of_a_names_addresses_are_tried(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def several(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "several.example":
            return real(host, *rest, **more)
        return [*real("127.0.0.9", *rest, **more), *real("127.0.0.1", *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with loopback_server(lambda _: Reply(body=TFLITE)) as server:
        assert download(f"http://several.example:{server.port}/m.tflite") == 0


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """models.example and other.example are on loopback."""
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **more: Any) -> Any:
        inside = host in {"models.example", "other.example"}
        return real("127.0.0.1" if inside else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.mark.usefixtures("named")
def test_tls_verifies_the_name_although_the_address_is_pinned(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = server_tls(tmp_path, "models.example")
    with loopback_server(lambda _: Reply(body=TFLITE), context) as server:
        good = f"https://models.example:{server.port}/m.tflite"
        assert "its certificate is not trusted" in download.fails(good)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        other = download.fails(f"https://other.example:{server.port}/m.tflite")
        assert "Hostname mismatch" in other
        assert "set SSL_CERT_FILE" in other
        assert download(good, "--sha256", SHA256) == 0


@pytest.mark.usefixtures("named")
def test_a_redirect_to_plain_http_is_refused(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = server_tls(tmp_path, "models.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    insecure = Reply(302, headers={"Location": "http://models.example/m.tflite"})
    with loopback_server(lambda _: insecure, context) as server:
        line = download.fails(f"https://models.example:{server.port}/m.tflite")
    assert line.endswith("redirects to http, which is not secure")


def test_through_a_proxy(download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://user:pass@"))
        assert download("http://only-the-proxy-knows.invalid/m.tflite") == 0
        assert proxy.requests[0].path == "http://only-the-proxy-knows.invalid/m.tflite"
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")


def test_a_proxy_is_no_way_around_the_guard(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback_server(lambda _: Reply(body=TFLITE)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        line = download.fails("http://169.254.169.254/m.tflite", allow="")
        assert line.startswith("AddressNotAllowed: ")
        assert proxy.requests == []


@pytest.mark.parametrize("uri", ["pvc://claim/models", "bundled://detector"])
def test_what_is_already_there(uri: str, download: Download) -> None:
    assert download(uri) == 0
    assert not download.dest.exists()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("azure://x/y", "UnsupportedScheme: storageUri azure:// is not supported"),
        ("bundled://other", "ModelNotFound: the image has no model bundled://other"),
        ("https://host/a#sha256=1", "DownloadFailed: #sha256= in storageUri must be"),
    ],
)
def test_wrong_uris(uri: str, reason: str, download: Download) -> None:
    assert download.fails(uri).startswith(reason)


def test_two_checksums_must_agree(download: Download) -> None:
    line = download.fails(f"https://host/a#sha256={'0' * 64}", "--sha256", "1" * 64)
    assert line == "DownloadFailed: --sha256 and the #sha256= of storageUri are not the same"


def test_a_folder_with_other_files_is_left_alone(download: Download) -> None:
    download.dest.mkdir()
    (download.dest / "mine.txt").write_text("mine")
    assert download("http://127.0.0.1:1/m.tflite") == 1
    assert "is not empty (it has mine.txt)" in download.log.read_text()
    assert (download.dest / "mine.txt").read_text() == "mine"


def test_no_termination_log_is_made_where_there_is_none(download: Download) -> None:
    download.log.unlink()
    assert download("ftp://x") == 1
    assert not download.log.exists()


def test_help_names_every_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for word in ("https://", "s3://", "gs://", "oci://", "pvc://", "bundled://", "AWS_", "exit st"):
        assert word in shown


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ((), "--uri"),
        (("--max-bytes", "0"), "'0' is not a size such as 500M"),
        (("--max-bytes", "ten"), "'ten' is not a size such as 500M"),
        (("--allow-address", "10.0.0.0/99"), "is not a network such as"),
        (("--timeout", "0"), "is not a number of seconds above 0"),
        (("--attempts", "0"), "is not a whole number"),
        (("--file-sha256", "m.tflite=abc"), "argument --file-sha256"),
        (("--file-sha256", f"../m={'0' * 64}"), "'../m' is not the path of a file of the model"),
    ],
)
def test_wrong_flags(
    flags: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*(("--uri", "x") if flags else ()), "--dest", "x", *flags])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err
