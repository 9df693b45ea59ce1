"""Starts the supervisor, optionally in separate namespaces, and records its PID.

The order matters: the supervisor starts and waits, its identity is recorded, and only then is it
released. If the command is killed in between, nothing runs without a record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from local_cluster.errors import ClusterError
from local_cluster.processes import ProcessIdentity, children, identify, wait_until
from local_cluster.supervisor import GO

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_cluster.layout import Layout
    from local_cluster.supervisor import Program

NAMESPACES = (
    "unshare", "--pid", "--mount", "--net", "--ipc", "--uts",
    "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip


def write_plan(layout: Layout, programs: list[Program], node: dict[str, object] | None) -> None:
    """Write the supervisor's plan.

    Args:
        layout: the cluster's files.
        programs: the programs to start.
        node: settings for `local_cluster.node`; None without a node.
    """
    plan = {
        "programs": [program.as_record() for program in programs],
        "logs": str(layout.logs),
        "record": str(layout.programs),
        "pki": str(layout.pki),
        "node": node,
    }
    layout.plan.write_text(json.dumps(plan, indent=2) + "\n")


def start_supervisor(
    layout: Layout, *, isolated: bool, record: Callable[[ProcessIdentity], None]
) -> None:
    """Start the supervisor with the written plan, and release it once it is recorded.

    Args:
        layout: the cluster's files.
        isolated: whether it gets its own PID, mount, network, IPC and UTS namespaces.
        record: called with the supervisor's identity while it waits; may also set up what its
            namespaces need from outside.

    Raises:
        ClusterError: the supervisor did not start.
    """
    command = [sys.executable, "-m", "local_cluster.supervisor", str(layout.plan)]
    log_path = layout.logs / "supervisor.log"
    with log_path.open("a") as log:
        process = subprocess.Popen(
            [*(NAMESPACES if isolated else ()), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            cwd="/",
            start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        record(_true_identity(process, isolated=isolated))
        if process.stdin is None or process.poll() is not None:
            message = f"the supervisor ended immediately; see {log_path}"
            raise ClusterError(message)
        process.stdin.write(GO)
        process.stdin.close()
    except BaseException:
        process.kill()
        process.wait()
        raise


def _true_identity(process: subprocess.Popen[str], *, isolated: bool) -> ProcessIdentity:
    """Identity of the supervisor: with namespaces, the only child of `unshare`."""
    found: list[int] = [] if isolated else [process.pid]

    def look() -> bool:
        if not found:
            found.extend(children(process.pid))
        return bool(found) or process.poll() is not None

    wait_until(look, 10.0, 0.01)
    identity = identify(found[0]) if found else None
    if identity is None:
        message = f"the supervisor did not start: {process.poll()=}"
        raise ClusterError(message)
    return identity
