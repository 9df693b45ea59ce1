"""The command as a person meets it: help, plain errors, exit statuses."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml

from local_cluster import lifecycle
from local_cluster import state as states
from local_cluster.__main__ import main
from local_cluster.console import Progress, elapsed
from local_cluster.errors import ClusterError
from local_cluster.kubeconfigs import component_kubeconfig, portable_kubeconfig
from local_cluster.layout import layout_of
from local_cluster.processes import boot_id, identify
from local_cluster.state import Mode, Profile, State

if TYPE_CHECKING:
    from pathlib import Path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["local-cluster", *arguments])
    return main()


def test_help_names_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        call(monkeypatch, "--help")
    assert raised.value.code == 0
    text = capsys.readouterr().out
    for name in ("up", "status", "down", "build", "images", "env", "kubectl"):
        assert f"\n    {name} " in text


def test_down_without_a_cluster_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ".cluster"
    assert call(monkeypatch, "down", "--dir", str(folder)) == 0
    assert capsys.readouterr().out == f"There is no cluster in {folder}.\n"
    assert not folder.exists()


def test_status_without_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "status", "--dir", str(tmp_path)) == 1
    assert "No cluster" in capsys.readouterr().out


def test_errors_are_one_message_without_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "env", "--dir", str(tmp_path)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("local-cluster: there is no cluster in")


def test_a_cluster_that_ended_without_down_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = layout_of(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        identity = identify(process.pid)
        process.kill()
    assert identity is not None
    state = State(Mode.OWN, Profile.FULL, layout.cluster_id, identity)
    states.save(layout.state, state)
    assert call(monkeypatch, "status", "--dir", str(tmp_path)) == 1
    assert "ended without `down`" in capsys.readouterr().out


def test_another_context_than_the_recorded_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = layout_of(tmp_path)
    state = State(Mode.KIND, Profile.FULL, layout.cluster_id, context="kind-iop-1")
    states.save(layout.state, state)
    assert call(monkeypatch, "up", "--dir", str(tmp_path), "--context", "mine") == 1
    assert "not the context 'mine'" in capsys.readouterr().err
    assert states.load(layout.state) == state


def test_waiting_ends_with_the_log_of_a_program_that_died(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    layout.logs.mkdir()
    (layout.logs / "kubelet.log").write_text("first\nno such device\n")
    layout.programs.write_text(json.dumps({"etcd": "running", "kubelet": "exited with status 1"}))
    state = State(Mode.OWN, Profile.FULL, layout.cluster_id, identify(1))
    with pytest.raises(ClusterError, match=r"kubelet exited with status 1;.*\n.*\nno such device"):
        lifecycle.wait_for(layout, state, "the node", lambda: False, Progress())


def test_a_supervisor_that_was_never_told_to_go_is_no_cluster(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    waits_for_go = [sys.executable, "-c", "import sys; sys.stdin.readline()"]
    with subprocess.Popen(waits_for_go, stdin=subprocess.PIPE) as process:
        state = State(Mode.OWN, Profile.FULL, layout.cluster_id, identify(process.pid))
        layout.programs.write_text(json.dumps({"etcd": "waiting"}))
        assert lifecycle.has_begun(layout, state)
        layout.programs.unlink()
        with ThreadPoolExecutor() as pool:
            begun = pool.submit(lifecycle.has_begun, layout, state)
            assert process.stdin is not None
            process.stdin.close()  # as the kernel does for a command that was killed
            process.wait()
            assert not begun.result()


def test_waiting_ends_when_the_supervisor_did(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    state = State(Mode.OWN, Profile.FULL, layout.cluster_id)
    with pytest.raises(ClusterError, match="the supervisor ended"):
        lifecycle.wait_for(layout, state, "the node", lambda: False, Progress())


def test_waiting_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "READY_SECONDS", 0.0)
    layout = layout_of(tmp_path)
    own = identify(1)
    assert own is not None
    assert own.boot_id == boot_id()
    state = State(Mode.OWN, Profile.FULL, layout.cluster_id, dataclasses.replace(own))
    with pytest.raises(
        ClusterError, match=r"timed out after 0 s waiting for the node; see the logs"
    ):
        lifecycle.wait_for(layout, state, "the node", lambda: False, Progress())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (605, "10 min 05 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    for second in range(40):
        now[0] = float(second)
        progress.show(f"step {second}")
    progress.close()
    assert capsys.readouterr().out == "  15 s: step 15\n  30 s: step 30\n"


def test_a_portable_kubeconfig_holds_its_certificates() -> None:
    text = portable_kubeconfig("https://10.64.7.2:6443", b"authority", b"certificate", b"key")
    configuration = yaml.safe_load(text)
    cluster = configuration["clusters"][0]["cluster"]
    assert cluster["server"] == "https://10.64.7.2:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"authority"
    user = configuration["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == b"key"
    assert configuration["current-context"] == configuration["contexts"][0]["name"]


def test_a_programs_kubeconfig_names_files(tmp_path: Path) -> None:
    configuration = yaml.safe_load(component_kubeconfig("https://x", tmp_path, "kubelet"))
    assert configuration["users"][0]["user"] == {
        "client-certificate": str(tmp_path / "kubelet.crt"),
        "client-key": str(tmp_path / "kubelet.key"),
    }
