"""Command lines, and an order of start that can be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cluster.programs import ProgramSettings, control_plane, whole_cluster
from local_cluster.supervisor import Program

SITE = ProgramSettings(
    binary=Path("/cache/kubernetes"),
    pki=Path("/c/pki"),
    config=Path("/c/config"),
    data=Path("/c/data"),
    address="127.0.0.1",
    service_range="10.63.0.0/24",
    load_balancer_range="10.63.1.0/24",
)
PLANS = {
    "control plane": control_plane(SITE, with_node=False),
    "whole cluster": whole_cluster(SITE),
}


def flag(program: Program, name: str) -> str:
    found = [word for word in program.command if word.startswith(f"--{name}=")]
    assert len(found) == 1, f"{program.name} has {len(found)} of --{name}"
    return found[0].partition("=")[2]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_every_program_can_start(plan: list[Program]) -> None:
    started: set[str] = set()
    waiting = list(plan)
    while waiting:
        ready = [program for program in waiting if set(program.after) <= started]
        assert ready, f"these wait for each other: {[program.name for program in waiting]}"
        started |= {program.name for program in ready}
        waiting = [program for program in waiting if program not in ready]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_what_others_wait_for_can_be_seen_to_answer(plan: list[Program]) -> None:
    awaited = {name for program in plan for name in program.after}
    assert awaited <= {program.name for program in plan if program.probe}


def test_without_a_node_only_loopback_is_listened_on() -> None:
    etcd, server, controllers = PLANS["control plane"]
    assert flag(server, "bind-address") == "127.0.0.1"
    assert flag(controllers, "bind-address") == "127.0.0.1"
    for name in ("listen-client-urls", "listen-peer-urls"):
        assert flag(etcd, name).startswith("https://127.0.0.1:")


def test_etcd_answers_only_to_the_clusters_certificates() -> None:
    etcd = PLANS["whole cluster"][1]
    assert flag(etcd, "client-cert-auth") == "true"
    assert flag(etcd, "peer-client-cert-auth") == "true"


def test_the_api_server_authorizes_and_restricts_nodes() -> None:
    server = next(p for p in PLANS["whole cluster"] if p.name == "kube-apiserver")
    assert flag(server, "authorization-mode") == "Node,RBAC"
    assert flag(server, "enable-admission-plugins") == "NodeRestriction"
    assert "disable-admission-plugins" not in " ".join(server.command)


def test_programs_without_a_built_in_role_wait_for_theirs() -> None:
    gated = {program.name for program in PLANS["whole cluster"] if program.gate}
    assert gated == {"coredns", "metrics-server", "load-balancer"}


@pytest.mark.parametrize("program", PLANS["whole cluster"], ids=lambda program: program.name)
def test_a_program_survives_the_plans_json(program: Program) -> None:
    assert Program.from_record(program.as_record()) == program
