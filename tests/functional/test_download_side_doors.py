"""No variable of the environment leads a download to an address that is not allowed.

An InferenceService sets the init container's environment, so each of these is a tenant's to choose.
The server on loopback must not see a single connection.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# A documentation address would be refused; this one is public, and nothing is sent to it.
PUBLIC = "http://93.184.216.34/model.tflite"
BUCKET = "s3://bucket/model.tflite"
GCS = "gs://bucket/model.tflite"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
ROLE = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/token"}


class Listener:
    """Counts connections to a port of loopback, over TCP and UDP."""

    def __init__(self) -> None:
        self.stream = socket.create_server(("127.0.0.1", 0))
        self.port = self.stream.getsockname()[1]
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", self.port))
        self.datagrams.setblocking(False)
        self.connections = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self.stream.accept()
            said = client.recv(4)
            client.close()
            if said == b"stop":
                return
            self.connections += 1

    def close(self) -> int:
        """Ends it; returns how many connections and datagrams came."""
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"stop")
        self._thread.join()
        self.stream.close()
        try:
            self.datagrams.recv(1)
            self.connections += 1
        except BlockingIOError:
            pass
        self.datagrams.close()
        return self.connections


@contextmanager
def listener() -> Iterator[Listener]:
    listening = Listener()
    try:
        yield listening
    finally:
        seen = listening.close()
    assert seen == 0


def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def files(folder: Path, url: str) -> None:
    """Everything that a mounted volume could have in it."""
    (folder / "token").write_text("token")
    account = {
        "type": "service_account",
        "client_email": "a@b",
        "private_key_id": "1",
        "private_key": key(),
        "token_uri": f"{url}/token",
    }
    federated = {
        "type": "external_account",
        "audience": "x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{url}/token",
    }
    source = {"url": f"{url}/source", "format": {"type": "text"}}
    program = {"executable": {"command": f"/usr/bin/touch {folder}/ran", "timeout_millis": 5000}}
    for name, content in (
        ("account.json", account),
        ("federated.json", {**federated, "credential_source": source}),
        ("program.json", {**federated, "credential_source": program}),
        ("file.json", {**federated, "credential_source": {"file": str(folder / "token")}}),
    ):
        (folder / name).write_text(json.dumps(content))
    (folder / "aws").write_text(f"[default]\ncredential_process = /usr/bin/touch {folder}/ran\n")


def run(folder: Path, uri: str, environment: Mapping[str, str], *flags: str) -> str:
    """The termination message of a download that must fail."""
    log = folder / "log"
    log.touch()
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "model_server", "download", "--uri", uri),
            *("--dest", folder / "models", "--termination-log", log, "--attempts", "1"),
            *("--connect-timeout", "0.5", "--read-timeout", "0.5", "--timeout", "30", *flags),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**clean, "AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true", **environment},
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "ran").exists()
    return log.read_text()


@pytest.mark.parametrize(
    ("uri", "environment"),
    [
        (PUBLIC, {"http_proxy": "{url}"}),
        (PUBLIC, {"HTTP_PROXY": "{url}"}),
        (PUBLIC, {"all_proxy": "{url}"}),
        (PUBLIC, {"http_proxy": "http://localhost:{port}"}),
        ("https://93.184.216.34/m", {"https_proxy": "{url}"}),
        ("http://no-such-host.invalid/x", {"http_proxy": "{url}"}),
        (BUCKET, {**KEYS, "AWS_ENDPOINT_URL": "{url}"}),
        (BUCKET, {**KEYS, "AWS_ENDPOINT_URL_S3": "{url}"}),
        (BUCKET, {**KEYS, "S3_ENDPOINT": "{url}"}),
        (BUCKET, {**KEYS, "https_proxy": "{url}"}),
        (BUCKET, {**ROLE, "AWS_ENDPOINT_URL_STS": "{url}"}),
        (BUCKET, {**ROLE, "AWS_ENDPOINT_URL": "{url}"}),
        (BUCKET, {**ROLE, "https_proxy": "{url}"}),
        (GCS, {"STORAGE_EMULATOR_HOST": "{url}"}),
        (GCS, {"https_proxy": "{url}"}),
        (GCS, {"GOOGLE_APPLICATION_CREDENTIALS": "{folder}/account.json"}),
        (GCS, {"GOOGLE_APPLICATION_CREDENTIALS": "{folder}/federated.json"}),
        (GCS, {"GOOGLE_APPLICATION_CREDENTIALS": "{folder}/file.json"}),
        ("oci://registry.invalid/a", {"https_proxy": "{url}"}),
    ],
)
def test_an_address_of_the_environment_is_judged(
    uri: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    with listener() as listening:
        url = f"http://127.0.0.1:{listening.port}"
        files(tmp_path, url)
        filled = {
            name: value.format(url=url, port=listening.port, folder=tmp_path)
            for name, value in environment.items()
        }
        said = run(tmp_path, uri, filled)
    assert said.startswith("AddressNotAllowed: "), said
    assert "loopback" in said or "inside the cluster" in said


@pytest.mark.parametrize(
    ("uri", "environment"),
    [
        (BUCKET, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/creds"}),
        (BUCKET, {"AWS_CONFIG_FILE": "{folder}/aws"}),
        (BUCKET, {"AWS_SHARED_CREDENTIALS_FILE": "{folder}/aws"}),
        (BUCKET, {"AWS_CSM_ENABLED": "true", "AWS_CSM_PORT": "{port}", **KEYS}),
        (BUCKET, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "{url}", "AWS_EC2_METADATA_DISABLED": ""}),
        (GCS, {"GCE_METADATA_HOST": "127.0.0.1:{port}", "NO_GCE_CHECK": ""}),
        (
            GCS,
            {
                "GOOGLE_APPLICATION_CREDENTIALS": "{folder}/program.json",
                "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1",
            },
        ),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--instance-credentials",)])
def test_nothing_is_asked_and_no_program_is_run(
    uri: str, environment: Mapping[str, str], flags: tuple[str, ...], tmp_path: Path
) -> None:
    """The store itself is at a public address behind a proxy that nobody listens at."""
    with listener() as listening, socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{listening.port}"
        files(tmp_path, url)
        filled = {
            name: value.format(url=url, port=listening.port, folder=tmp_path)
            for name, value in environment.items()
        }
        elsewhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
        run(tmp_path, uri, {"https_proxy": elsewhere, **filled}, *flags)
