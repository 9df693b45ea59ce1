"""`local-cluster up --control-plane-only`: a real API server alone, for real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from local_cluster.addons import kind_metrics_objects
from local_cluster.api import ApiServer
from local_cluster.control_plane import server_url
from local_cluster.layout import layout_of
from local_cluster.processes import identify
from local_cluster.state import State, load
from support.kube import Kubectl, KubectlError

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Command:
    """The `local-cluster` command on one folder."""

    folder: Path

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end; the caller looks at the status."""
        command = [sys.executable, "-m", "local_cluster", name, "--dir", str(self.folder)]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
        )

    def up(self) -> str:
        """Have a control plane run; returns what was printed."""
        done = self.run("up", "--control-plane-only")
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def state(self) -> State:
        """What the folder records."""
        state = load(layout_of(self.folder).state)
        assert state is not None
        return state

    @property
    def kubectl(self) -> Kubectl:
        """kubectl on this cluster."""
        return Kubectl(layout_of(self.folder).kubeconfig)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    command = Command(tmp_path_factory.mktemp("cluster") / ".cluster")
    command.up()
    yield command
    command.run("down")


def test_a_second_up_changes_nothing(running: Command) -> None:
    before = running.state
    assert "is already running" in running.up()
    assert running.state == before


def test_status_names_every_program(running: Command) -> None:
    done = running.run("status")
    assert done.returncode == 0, done.stdout
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        assert f"  {name:<24}running\n" in done.stdout


def test_the_controllers_work(running: Command) -> None:
    kubectl = running.kubectl.in_namespace("default")
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "example"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "example"}},
            "template": {
                "metadata": {"labels": {"app": "example"}},
                "spec": {"containers": [{"name": "c", "image": "example.dev/none:1"}]},
            },
        },
    }
    kubectl.apply(deployment)
    kubectl.run(
        "wait", "deployment/example", "--for=jsonpath={.status.unavailableReplicas}=2",
        "--timeout=60s",
    )  # fmt: skip


def test_pod_security_admission_refuses_what_a_namespace_forbids(running: Command) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    running.kubectl.apply({**namespace, "metadata": {"name": "strict", "labels": labels}})
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        running.kubectl.in_namespace("strict").run("run", "loose", "--image=example.dev/none:1")


def test_the_api_server_refuses_who_cannot_prove_who_they_are(running: Command) -> None:
    kubeconfig = yaml.safe_load(layout_of(running.folder).kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": "guessed"}
    path = running.folder / "nobody"
    path.write_text(yaml.safe_dump(kubeconfig))
    with pytest.raises(KubectlError, match="must be logged in"):
        Kubectl(path).run("get", "secrets", "--all-namespaces")


def test_what_kind_is_given_is_valid(running: Command) -> None:
    # As `create_kind` applies them; all of one namespace, so that kubectl's own cannot differ.
    text = yaml.safe_dump_all(kind_metrics_objects())
    kubectl = running.kubectl.in_namespace("kube-system")
    kubectl.run("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)


def test_objects_can_be_applied_again(running: Command) -> None:
    api = ApiServer(server_url(running.state), layout_of(running.folder).pki)
    for manifest in kind_metrics_objects():
        api.apply(manifest)
        api.apply(manifest)


def test_two_run_side_by_side_and_one_going_does_not_disturb_the_other(
    running: Command, tmp_path: Path
) -> None:
    other = Command(tmp_path / ".cluster")
    other.up()
    assert not set(other.state.ports.values()) & set(running.state.ports.values())
    supervisor = other.state.supervisor
    done = other.run("down")
    assert done.returncode == 0, done.stderr
    assert supervisor is not None
    assert identify(supervisor.pid) != supervisor
    assert running.run("status").returncode == 0


def test_down_leaves_nothing_but_the_logs(tmp_path: Path) -> None:
    command = Command(tmp_path / ".cluster")
    command.up()
    done = command.run("down")
    assert (done.returncode, done.stdout) == (0, "The cluster is deleted.\n")
    assert [path.name for path in command.folder.iterdir()] == ["logs"]
    assert command.run("down").returncode == 0
