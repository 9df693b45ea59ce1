"""`model-server download` from real servers of S3, Google Cloud Storage and OCI artifacts."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from model_server.download import main
from support.loopback import LoopbackServer, Reply, Request, loopback_server
from support.object_stores import (
    GcsServer,
    Layer,
    Registry,
    S3Server,
    gcs_server,
    registry_server,
    s3_server,
)

# One worker builds and runs the servers, whatever the number of workers.
pytestmark = [pytest.mark.xdist_group("object_stores"), pytest.mark.timeout(1800)]

TFLITE = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 3000
SAVED_MODEL = {
    "saved_model.pb": b"pb" * 50,
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 40,
}
CHANGED = b"\x1c\0\0\0TFL3" + b"another"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
ARTIFACT_CONFIG = "application/vnd.oci.empty.v1+json"


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        objects = {
            "detector/model.tflite": TFLITE,
            "archive.tar.gz": gzip.compress(tarred(SAVED_MODEL)),
        }
        objects |= {f"folder/1/{path}": content for path, content in SAVED_MODEL.items()}
        objects |= {f"many/{number:04}.txt": b"x" for number in range(1100)}
        objects |= {"many/model.tflite": TFLITE, "odd/a b+c?d#e.tflite": TFLITE}
        server.put("models", objects)
        yield server


@pytest.fixture
def s3_keys(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    with gcs_server(tmp_path_factory.mktemp("gcs") / "server") as server:
        objects = {"detector/model.tflite": TFLITE, "odd/a b+c?d#e.tflite": TFLITE}
        objects |= {f"folder/{path}": content for path, content in SAVED_MODEL.items()}
        server.put("models", objects)
        yield server


@pytest.fixture
def gcs_host(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.endpoint)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_server(tmp_path_factory.mktemp("registry") / "server") as server:
        yield server


class Download:
    """Runs the command in this process with loopback allowed."""

    def __init__(self, folder: Path) -> None:
        self.dest = folder / "models"
        self.log = folder / "termination-log"
        self.log.touch()

    def __call__(self, uri: str, *flags: str, allow: str = "127.0.0.1") -> int:
        allowed = ("--allow-address", allow) if allow else ()
        return main(
            [
                *("--uri", uri, "--dest", str(self.dest), "--termination-log", str(self.log)),
                *("--retry-delay", "0.001", "--attempts", "3", *allowed, *flags),
            ]
        )

    def fails(self, uri: str, *flags: str, allow: str = "127.0.0.1") -> str:
        assert self(uri, *flags, allow=allow) == 1
        (line,) = self.log.read_text().splitlines()
        return line

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.dest).as_posix(): path.read_bytes()
            for path in self.dest.rglob("*")
            if path.is_file() and path.name != ".model.json"
        }


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path)


@pytest.mark.usefixtures("s3_keys")
class TestS3:
    def test_an_object(self, download: Download) -> None:
        digest = hashlib.sha256(TFLITE).hexdigest()
        assert download("s3://models/detector/model.tflite", "--sha256", digest) == 0
        assert download.files() == {"model.tflite": TFLITE}

    def test_an_archive(self, download: Download) -> None:
        assert download("s3://models/archive.tar.gz") == 0
        assert download.files() == SAVED_MODEL

    @pytest.mark.parametrize("uri", ["s3://models/folder/1", "s3://models/folder/1/"])
    def test_a_folder(self, uri: str, download: Download) -> None:
        assert download(uri) == 0
        assert download.files() == SAVED_MODEL

    def test_the_digest_of_a_folder_is_what_sha256sum_prints(self, download: Download) -> None:
        assert download("s3://models/folder") == 0
        marker = json.loads((download.dest / ".model.json").read_text())
        (download.dest / ".model.json").unlink()
        command = "find . -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
        printed = subprocess.run(
            ["sh", "-c", command], cwd=download.dest, capture_output=True, text=True, check=True
        )
        assert printed.stdout.split()[0] == marker["sha256"]

    def test_a_folder_with_more_objects_than_one_listing_shows(self, download: Download) -> None:
        assert download("s3://models/many") == 0
        assert len(download.files()) == 1101

    def test_a_key_with_odd_characters(self, download: Download) -> None:
        assert download("s3://models/odd/") == 0
        assert download.files() == {"a b+c?d#e.tflite": TFLITE}

    def test_one_object_of_a_folder_too_large(self, download: Download) -> None:
        line = download.fails("s3://models/folder", "--max-bytes", "5k")
        assert line.startswith("ModelTooLarge: s3://models/folder/1/variables/variables.data")

    @pytest.mark.parametrize(
        ("uri", "reason"),
        [
            ("s3://models/none.tflite", "ModelNotFound: there is no object s3://models/none.tfl"),
            ("s3://models/none/", "ModelNotFound: there is no object s3://models/none/"),
            ("s3://no-such-bucket/m.tflite", "ModelNotFound: s3://no-such-bucket/m.tflite: the"),
        ],
    )
    def test_what_is_not_there(self, uri: str, reason: str, download: Download) -> None:
        assert download.fails(uri).startswith(reason)

    def test_a_wrong_key(self, download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        line = download.fails("s3://models/detector/model.tflite")
        assert line.startswith("DownloadFailed: s3://models/detector/model.tflite: the store answ")
        assert "it wants credentials" in line
        assert "wrong-secret" not in line

    def test_no_key(self, download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert "it wants credentials" in download.fails("s3://models/detector/model.tflite")

    def test_kserves_names_for_the_endpoint(
        self, s3: S3Server, download: Download, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setenv("S3_ENDPOINT", s3.endpoint.removeprefix("http://"))
        monkeypatch.setenv("S3_USE_HTTPS", "0")
        assert download("s3://models/detector/model.tflite") == 0

    def test_an_endpoint_inside_is_judged(self, download: Download) -> None:
        line = download.fails("s3://models/detector/model.tflite", allow="")
        assert line.startswith("AddressNotAllowed: 127.0.0.1 (loopback) is not allowed")

    def test_a_connection_that_breaks_is_continued(
        self, s3: S3Server, download: Download, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with breaking(s3.endpoint, 300_000) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            assert download("s3://models/detector/model.tflite") == 0
        assert download.files() == {"model.tflite": TFLITE}
        assert gets(server)[-2:] == ["bytes=300000-", "bytes=600000-"]

    def test_an_object_that_changes_in_between_is_not_mixed(
        self, s3: S3Server, download: Download, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3.put("changing", {"model.tflite": TFLITE})
        with breaking(s3.endpoint, 300_000) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            forward = server.script

            def change_after_the_first(request: Request) -> Reply:
                if "range" in request.headers:
                    s3.put_object("changing", "model.tflite", CHANGED)
                return forward(request)

            server.script = change_after_the_first
            line = download.fails("s3://changing/model.tflite")
        assert "the object has changed" in line


@pytest.mark.usefixtures("gcs_host")
class TestGcs:
    def test_an_object(self, download: Download) -> None:
        assert download("gs://models/detector/model.tflite") == 0
        assert download.files() == {"model.tflite": TFLITE}

    @pytest.mark.parametrize("uri", ["gs://models/folder", "gs://models/folder/"])
    def test_a_folder(self, uri: str, download: Download) -> None:
        assert download(uri) == 0
        assert download.files() == SAVED_MODEL

    def test_a_key_with_odd_characters(self, download: Download) -> None:
        assert download("gs://models/odd/") == 0
        assert download.files() == {"a b+c?d#e.tflite": TFLITE}

    @pytest.mark.parametrize("uri", ["gs://models/none", "gs://no-such-bucket/m.tflite"])
    def test_what_is_not_there(self, uri: str, download: Download) -> None:
        assert download.fails(uri).startswith("ModelNotFound: ")

    def test_an_endpoint_inside_is_judged(self, download: Download) -> None:
        line = download.fails("gs://models/detector/model.tflite", allow="")
        assert line.startswith("AddressNotAllowed: ")

    def test_a_connection_that_breaks_is_continued(
        self, gcs: GcsServer, download: Download, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with breaking(gcs.endpoint, 300_000) as server:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
            assert download("gs://models/detector/model.tflite") == 0
        assert download.files() == {"model.tflite": TFLITE}
        assert gets(server)[-2:] == ["bytes=300000-", "bytes=600000-"]

    def test_a_service_accounts_token_is_sent(
        self, gcs: GcsServer, download: Download, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A real key, a real exchange with a token endpoint: only Google is on loopback."""
        with loopback_server(token_endpoint) as tokens, breaking(gcs.endpoint, 1 << 30) as server:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
            key = tmp_path / "key.json"
            key.write_text(json.dumps(service_account(f"{tokens.url}/token")))
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
            assert download("gs://models/detector/model.tflite") == 0
        sent = {request.headers.get("authorization") for request in server.requests}
        assert sent == {"Bearer the-token"}

    def test_a_wrong_key_file(
        self, download: Download, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        line = download.fails("gs://models/detector/model.tflite")
        assert line.startswith("DownloadFailed: no Google credentials can be used: ")


class TestOci:
    def test_an_artifact_of_files(self, registry: Registry, download: Download) -> None:
        layers = [Layer(TFLITE, "model.tflite"), Layer(b"cat\n", "labels.txt")]
        digest = registry.push("team/detector", "v1", ARTIFACT_CONFIG, layers)
        uri = f"oci://{registry.host}/team/detector:v1"
        sha256 = digest.removeprefix("sha256:")
        assert download(uri, "--plain-http", "--sha256", sha256) == 0
        assert download.files() == {"model.tflite": TFLITE, "labels.txt": b"cat\n"}

    def test_by_digest(self, registry: Registry, download: Download) -> None:
        digest = registry.push("d", "v1", ARTIFACT_CONFIG, [Layer(TFLITE, "model.tflite")])
        assert download(f"oci://{registry.host}/d@{digest}", "--plain-http") == 0
        wrong = f"oci://{registry.host}/d@sha256:{'0' * 64}"
        assert download.fails(wrong, "--plain-http").startswith("ModelNotFound: ")

    def test_an_artifact_of_a_folder(self, registry: Registry, download: Download) -> None:
        members = {f"model/{path}": content for path, content in SAVED_MODEL.items()}
        layer = Layer(gzip.compress(tarred(members)), "model", unpack=True)
        registry.push("folder", "v1", ARTIFACT_CONFIG, [layer])
        assert download(f"oci://{registry.host}/folder:v1", "--plain-http") == 0
        assert download.files() == members

    def test_an_image_for_several_machines(self, registry: Registry, download: Download) -> None:
        system = Layer(gzip.compress(tarred({"etc/os-release": b"x"})))
        members = {"models/model.tflite": CHANGED, "models/labels.txt": b"cat\n"}
        model = Layer(gzip.compress(tarred(members)))
        newer = Layer(tarred({"models/model.tflite": TFLITE}))
        digest = registry.push("car", "amd64", IMAGE_CONFIG, [system, model, newer])
        kind = "application/vnd.oci.image.index.v1+json"
        platforms = ({"os": "linux", "architecture": name} for name in ("s390x", "amd64", "arm64"))
        manifests = [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": 1,
                "platform": platform,
            }
            for platform in platforms
        ]
        index: dict[str, object] = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
        registry.push_manifest("car", "v1", kind, index)
        assert download(f"oci://{registry.host}/car:v1", "--plain-http") == 0
        assert download.files() == {"model.tflite": TFLITE, "labels.txt": b"cat\n"}

    @pytest.mark.parametrize(
        "layers",
        [
            [Layer(TFLITE, "../../evil.tflite")],
            [Layer(TFLITE, "model.tflite"), Layer(TFLITE, "../../evil.tflite")],
            [Layer(tarred({"../../evil.tflite": TFLITE}), "model", unpack=True)],
        ],
    )
    def test_a_layer_that_leads_out(
        self, layers: list[Layer], registry: Registry, download: Download
    ) -> None:
        registry.push("evil", "v1", ARTIFACT_CONFIG, layers)
        line = download.fails(f"oci://{registry.host}/evil:v1", "--plain-http")
        assert line.startswith("UnsafeArchive: ")
        assert not list(download.dest.parent.rglob("evil.tflite"))

    def test_what_is_not_there(self, registry: Registry, download: Download) -> None:
        line = download.fails(f"oci://{registry.host}/none:v1", "--plain-http")
        assert line.startswith(f"ModelNotFound: http://{registry.host}/v2/none/manifests/v1 answ")

    def test_an_artifact_that_names_no_file(self, registry: Registry, download: Download) -> None:
        registry.push("nameless", "v1", ARTIFACT_CONFIG, [Layer(TFLITE)])
        line = download.fails(f"oci://{registry.host}/nameless:v1", "--plain-http")
        assert line.endswith("has no layer that names a file")

    def test_a_registry_inside_is_judged(self, registry: Registry, download: Download) -> None:
        line = download.fails(f"oci://{registry.host}/team/detector:v1", "--plain-http", allow="")
        assert line.startswith("AddressNotAllowed: ")

    def test_tls_is_wanted_unless_said_otherwise(
        self, registry: Registry, download: Download
    ) -> None:
        line = download.fails(f"oci://{registry.host}/team/detector:v1")
        assert "no secure connection" in line

    def test_a_login(
        self, download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        basic = "dXNlcjpwYXNz"  # user:pass
        hashed = "user:$2b$04$QSDtM3KoTZcg5/YlAaBF5uWXSxeCztIgCBYlsdE.jI44b64fSw7KC"
        authorization = {"Authorization": f"Basic {basic}"}
        with registry_server(tmp_path / "server", hashed, **authorization) as registry:
            registry.push("private", "v1", ARTIFACT_CONFIG, [Layer(TFLITE, "model.tflite")])
            uri = f"oci://{registry.host}/private:v1"
            assert "answered 401" in download.fails(uri, "--plain-http")
            config = {"auths": {registry.host: {"auth": basic}}}
            (tmp_path / "config.json").write_text(json.dumps(config))
            monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
            assert download(uri, "--plain-http") == 0
        assert download.files() == {"model.tflite": TFLITE}

    def test_a_token(self, registry: Registry, download: Download) -> None:
        """The token exchange of public registries, in front of the real one."""
        registry.push("tokens", "v1", ARTIFACT_CONFIG, [Layer(TFLITE, "model.tflite")])
        asked: list[str] = []

        def script(request: Request) -> Reply:
            if request.path.startswith("/token?"):
                asked.append(request.path)
                return Reply(body=b'{"token": "the-token"}')
            if request.headers.get("authorization") != "Bearer the-token":
                challenge = (
                    f'Bearer realm="{server.url}/token",service="s",scope="repository:x:pull"'
                )
                return Reply(401, headers={"WWW-Authenticate": challenge})
            return forward(f"http://{registry.host}", request)

        with loopback_server(script) as server:
            host = server.url.removeprefix("http://")
            assert download(f"oci://{host}/tokens:v1", "--plain-http") == 0
        assert asked[0] == "/token?scope=repository%3Ax%3Apull&service=s"

    def test_a_login_is_not_sent_to_a_plain_address_elsewhere(self, download: Download) -> None:
        challenge = 'Bearer realm="http://127.0.0.2/token"'
        reply = Reply(401, headers={"WWW-Authenticate": challenge})
        with loopback_server(lambda _: reply) as server:
            host = server.url.removeprefix("http://")
            line = download.fails(f"oci://{host}/x:v1", "--plain-http")
        assert line.endswith("wants a login at http://127.0.0.2/token")

    def test_a_blob_that_is_another_is_told(self, registry: Registry, download: Download) -> None:
        registry.push("forged", "v1", ARTIFACT_CONFIG, [Layer(TFLITE, "model.tflite")])

        def script(request: Request) -> Reply:
            if "/blobs/" in request.path:
                return Reply(body=CHANGED)
            return forward(f"http://{registry.host}", request)

        with loopback_server(script) as server:
            host = server.url.removeprefix("http://")
            line = download.fails(f"oci://{host}/forged:v1", "--plain-http")
        assert line.startswith("ChecksumMismatch: ")


def forward(endpoint: str, request: Request) -> Reply:
    """What the real server answers to the same request, its Host header included."""
    with urllib3.PoolManager() as http:
        answer = http.request(
            request.method,
            f"{endpoint}{request.path}",
            body=request.body or None,
            headers=dict(request.headers),
            redirect=False,
            decode_content=False,
        )
    dropped = {"content-length", "connection", "transfer-encoding", "date", "server"}
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
    length = answer.headers.get("Content-Length")
    known = int(length) if length and request.method == "HEAD" else None
    return Reply(answer.status, answer.data, headers, known)


@contextmanager
def breaking(endpoint: str, piece: int) -> Iterator[LoopbackServer]:
    """A server in front of a real one, whose answers break after `piece` bytes."""

    def script(request: Request) -> Reply:
        reply = forward(endpoint, request)
        if len(reply.body) <= piece:
            return reply
        return dataclasses.replace(reply, body=reply.body[:piece], length=len(reply.body))

    with loopback_server(script) as server:
        yield server


def gets(server: LoopbackServer) -> list[str | None]:
    """The ranges that were asked for."""
    return [item.headers.get("range") for item in server.requests if item.method == "GET"]


def token_endpoint(request: Request) -> Reply:
    assert b"assertion=" in request.body
    answer = {"access_token": "the-token", "expires_in": 3600, "token_type": "Bearer"}
    return Reply(body=json.dumps(answer).encode(), headers={"Content-Type": "application/json"})


def service_account(token_uri: str) -> dict[str, str]:
    """The key file of a service account, with a key made for this test."""
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "test",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "reader@test.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
