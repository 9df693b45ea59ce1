"""Real servers of object stores on loopback: S3, Google Cloud Storage, an OCI registry.

They are Go programs, pinned as tools in the module `stores/` and built once into the cache folder
that the local cluster's build uses: versitygw (an S3 gateway that verifies signatures),
fake-gcs-server (Google Cloud Storage's JSON API) and CNCF Distribution's registry.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

import botocore.session
import urllib3
from botocore.config import Config

from local_cluster.layout import cache_folder
from local_cluster.toolchain import find_go, required_version
from support.endings import ends_with_us
from support.poll import eventually

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

MODULE = Path(__file__).parent / "stores"
PACKAGES = {
    "versitygw": "github.com/versity/versitygw/cmd/versitygw",
    "fake-gcs-server": "github.com/fsouza/fake-gcs-server",
    "registry": "github.com/distribution/distribution/v3/cmd/registry",
}
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"


def binary(name: str) -> Path:
    """The program, built if it is not there yet; builds that start at once wait for each other."""
    sources = b"".join((MODULE / file).read_bytes() for file in ("go.mod", "go.sum"))
    folder = cache_folder() / "stores" / hashlib.sha256(sources).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).exists():
            go = find_go(required_version((MODULE / "go.mod").read_text()))
            # Moved when it is whole: an interrupted build leaves no half of a program.
            command = [go, "build", "-buildvcs=false", "-ldflags", "-s -w", "-o"]
            partial = folder / f"{name}.partial"
            subprocess.run([*command, str(partial), PACKAGES[name]], cwd=MODULE, check=True)
            partial.rename(folder / name)
    return folder / name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, log: Path, **environment: str) -> Iterator[None]:
    """Runs a server for the length of a `with` block, from when it answers on its port."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ends_with_us(command), stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        eventually(lambda: _answers(port, process, log), f"{command[0]} on port {port}")
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"it has ended:\n{log.read_text()}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class S3Server:
    """An S3 endpoint, its access key allowed everything."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What the download needs to read from it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def put(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Makes a bucket with these objects."""
        client = self._client()
        client.create_bucket(Bucket=bucket)
        for key, content in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=content)
        client.close()

    def put_object(self, bucket: str, key: str, content: bytes) -> None:
        """Makes or replaces one object."""
        client = self._client()
        client.put_object(Bucket=bucket, Key=key, Body=content)
        client.close()

    def _client(self) -> S3Client:
        return cast(
            "S3Client",
            botocore.session.Session().create_client(
                "s3",
                region_name="us-east-1",
                endpoint_url=self.endpoint,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                config=Config(s3={"addressing_style": "path"}),
            ),
        )


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """versitygw over a folder; its metadata beside it, since not every file system can hold it."""
    for name in ("root", "metadata"):
        (folder / name).mkdir(parents=True)
    port = _free_port()
    address = f"127.0.0.1:{port}"
    command = [
        *(str(binary("versitygw")), "--access", ACCESS_KEY, "--secret", SECRET_KEY),
        *("--port", address, "posix", "--sidecar", str(folder / "metadata")),
        str(folder / "root"),
    ]
    with _running(command, port, folder / "versitygw.log"):
        yield S3Server(f"http://{address}")


@dataclass(frozen=True)
class GcsServer:
    """An endpoint of Google Cloud Storage's JSON API."""

    endpoint: str

    def put(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Makes a bucket with these objects."""
        with urllib3.PoolManager() as http:
            created = http.request(
                "POST", f"{self.endpoint}/storage/v1/b?project=test", json={"name": bucket}
            )
            assert created.status == 200, created.data
            for key, content in objects.items():
                query = urlencode({"uploadType": "media", "name": key})
                uploaded = http.request(
                    "POST", f"{self.endpoint}/upload/storage/v1/b/{bucket}/o?{query}", body=content
                )
                assert uploaded.status == 200, uploaded.data


@contextmanager
def gcs_server(folder: Path) -> Iterator[GcsServer]:
    """fake-gcs-server in memory."""
    folder.mkdir(parents=True)
    port = _free_port()
    command = [
        *(str(binary("fake-gcs-server")), "-backend", "memory", "-scheme", "http"),
        *("-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"),
    ]
    with _running(command, port, folder / "fake-gcs-server.log"):
        yield GcsServer(f"http://127.0.0.1:{port}")


@dataclass(frozen=True)
class Layer:
    """One layer to push; `title` and `unpack` become the annotations of `oras push`."""

    content: bytes
    title: str = ""
    unpack: bool = False
    media_type: str = "application/vnd.oci.image.layer.v1.tar"

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self) -> dict[str, object]:
        annotations = {"org.opencontainers.image.title": self.title} if self.title else {}
        if self.unpack:
            annotations["io.deis.oras.content.unpack"] = "true"
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.content),
            "annotations": annotations,
        }


@dataclass(frozen=True)
class Registry:
    """A registry on loopback, speaking plain http."""

    host: str
    headers: dict[str, str]

    def push(self, repository: str, tag: str, config_type: str, layers: list[Layer]) -> str:
        """Pushes an artifact or image; returns the manifest's digest."""
        config = Layer(b"{}", media_type=config_type)
        with urllib3.PoolManager(headers=self.headers) as http:
            for layer in (config, *layers):
                started = http.request("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/")
                assert started.status == 202, started.data
                mark = "&" if "?" in started.headers["Location"] else "?"
                url = f"{started.headers['Location']}{mark}digest={layer.digest}"
                assert http.request("PUT", url, body=layer.content).status == 201
            kind = "application/vnd.oci.image.manifest.v1+json"
            manifest = {
                "schemaVersion": 2,
                "mediaType": kind,
                "config": config.descriptor(),
                "layers": [layer.descriptor() for layer in layers],
            }
            return self.push_manifest(repository, tag, kind, manifest)

    def push_manifest(
        self, repository: str, tag: str, kind: str, manifest: dict[str, object]
    ) -> str:
        """Pushes a manifest or index; returns its digest."""
        with urllib3.PoolManager() as http:
            pushed = http.request(
                "PUT",
                f"http://{self.host}/v2/{repository}/manifests/{tag}",
                body=json.dumps(manifest).encode(),
                headers={**self.headers, "Content-Type": kind},
            )
            assert pushed.status == 201, pushed.data
            return str(pushed.headers["Docker-Content-Digest"])


@contextmanager
def registry_server(folder: Path, htpasswd: str = "", **headers: str) -> Iterator[Registry]:
    """CNCF Distribution over a folder.

    Args:
        folder: To be created.
        htpasswd: A line of an htpasswd file; with it the registry wants a login.
        headers: What a push must send then.
    """
    folder.mkdir(parents=True)
    port = _free_port()
    auth = ""
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        auth = f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
    )
    command = [str(binary("registry")), "serve", str(config)]
    with _running(command, port, folder / "registry.log"):
        yield Registry(f"127.0.0.1:{port}", headers)
