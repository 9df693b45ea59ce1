"""The client installs by itself, without the server and its dependencies."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support.loopback import Reply, loopback_server

ROOT = Path(__file__).parents[2]
ANSWER = {"detections": [{"person": "79%"}], "image size": "size=2x1"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executables of an environment in which only the client was installed."""
    folder = tmp_path_factory.mktemp("client") / "venv"
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "--quiet", str(ROOT / "model-server" / "client")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_nothing_of_the_server_is_installed(environment: Path) -> None:
    listed = subprocess.run(
        [environment / "python", "-m", "pip", "list", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    client = {"inference-client", "numpy", "orjson", "pillow", "tqdm", "urllib3"}
    assert client <= names <= {*client, "pip", "setuptools"}


def test_the_installed_command_sends_a_picture(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff")
    body = json.dumps(ANSWER).encode()
    with loopback_server(lambda _: Reply(body=body)) as server:
        done = subprocess.run(
            [environment / "inference-client", "-a", server.url, "-i", "x.jpg"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stderr == ""
    assert done.stdout.startswith("Detections are: [{'person': '79%'}]\n")


def test_the_version_is_that_of_the_client(environment: Path) -> None:
    done = subprocess.run(
        [environment / "inference-client", "--version"], capture_output=True, text=True, check=True
    )
    text = (ROOT / "model-server" / "client" / "pyproject.toml").read_text()
    version = done.stdout.strip().removeprefix("inference-client ")
    assert f'version = "{version}"' in text


def test_the_articles_script_says_what_to_install() -> None:
    script = ROOT / "model-server" / "client" / "client.py"
    done = subprocess.run(
        # -S: without site-packages, so that the client's dependencies are missing.
        [sys.executable, "-S", script, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "install the client with `pip install ./model-server/client`" in done.stderr
    assert "Traceback" not in done.stderr
