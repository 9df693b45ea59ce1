"""Images: the base's recipe, the machine's package index settings, and the pause image."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from local_cluster.archive import single_program_image
from local_cluster.base_image import PACKAGES, SUITE, base_key, command_for, is_debian_source
from local_cluster.builders import is_on_loopback, last_step, pip_configuration

DEB822 = """Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


@pytest.mark.parametrize(
    ("text", "is_source"),
    [
        (DEB822, True),
        ("deb http://mirror.example/debian bookworm main\n", True),
        ("deb http://mirror.example/debian trixie main\n", False),
        ("deb https://vendor.example/apt cloud-sdk-bookworm main\n", False),
        ("deb https://vendor.example/deb nodistro main\n", False),
        ("", False),
    ],
)
def test_only_sources_of_the_suite_are_used(text: str, *, is_source: bool) -> None:
    assert is_debian_source(text) is is_source


def test_the_recipe_names_no_host() -> None:
    command = command_for(Path("base.tar"), [])
    assert command[0] == "mmdebstrap"
    assert command[-2:] == [SUITE, "base.tar"]
    assert f"--include={','.join(PACKAGES)}" in command
    assert not any("://" in word for word in command)


def test_the_base_follows_the_machines_sources(tmp_path: Path) -> None:
    source = tmp_path / "debian.sources"
    source.write_text(DEB822)
    first = base_key([source])
    source.write_text(DEB822.replace("mirror", "other"))
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    assert base_key([source]) != first != base_key([])


def test_pip_settings_are_merged_and_the_environment_wins(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text("[global]\ntimeout = 1\nindex-url = https://weak.example\ncert = /own/ca.pem\n")
    strong.write_text("[install]\nindex-url = https://strong.example\ntarget = /somewhere\n")
    environment = {"PIP_TIMEOUT": "9", "PIP_FIND_LINKS": "/wheels"}
    assert pip_configuration(environment, [weak, strong]) == (
        "[global]\n"
        "index-url = https://strong.example\n"
        "timeout = 9\n"
        "cert = /etc/ssl/certs/ca-certificates.crt\n"
    )


def test_no_pip_settings_make_an_empty_configuration(tmp_path: Path) -> None:
    assert pip_configuration({}, [tmp_path / "absent.conf"]) == "[global]\n"


def test_progress_shows_the_step_that_a_build_is_at() -> None:
    lines = ["STEP 1/2: FROM scratch\n", "STEP 2/2: RUN make\n", "compiling\n"]
    assert last_step(lines) == "STEP 2/2: RUN make"
    assert last_step(["pulling\n"]) == "pulling"
    assert last_step([]) == "starting"
    assert len(last_step(["STEP 1/1: RUN " + "x" * 500])) <= 100


@pytest.mark.parametrize(
    ("reference", "loopback"),
    [
        ("localhost:5000/team/operator:1", True),
        ("127.0.0.1:5000/operator:1", True),
        ("registry.example/localhost/operator:1", False),
        ("localhost.example:5000/operator:1", False),
    ],
)
def test_only_registries_of_this_machine_may_do_without_tls(
    reference: str, *, loopback: bool
) -> None:
    assert is_on_loopback(reference) is loopback


def test_the_pause_image_is_complete_and_the_same_every_time() -> None:
    archive = single_program_image(b"\x7fELF", "example.dev/pause:1")
    assert archive == single_program_image(b"\x7fELF", "example.dev/pause:1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        content = {
            member.name: file.read()
            for member in outer.getmembers()
            if (file := outer.extractfile(member)) is not None
        }
    [manifest] = json.loads(content["manifest.json"])
    assert manifest["RepoTags"] == ["example.dev/pause:1"]
    configuration = json.loads(content[manifest["Config"]])
    layer = content[manifest["Layers"][0]]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert configuration["config"]["User"] == "65535:65535"
    with tarfile.open(fileobj=io.BytesIO(layer)) as inner:
        [member] = inner.getmembers()
        assert member.name == configuration["config"]["Entrypoint"][0].strip("/")
        assert member.mode == 0o555
