"""Starting the supervisor, in namespaces of its own or plainly, and finding its true pid.

The order matters: the supervisor is started but waits; its identity is written down; only then is
it told to go. Whatever kills the command in between, nothing runs that is not on record.
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
    """Write what the supervisor shall do.

    Args:
        layout: the cluster's files.
        programs: what to start.
        node: settings of the node, as `local_cluster.node` reads them; None without a node.
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
    """Start the supervisor of the written plan, and let it go once it is on record.

    Args:
        layout: the cluster's files.
        isolated: whether it gets pid, mount, network, ipc and host name namespaces of its own.
        record: called with the supervisor's identity while it still waits; may prepare what the
            supervisor's namespaces need from outside.

    Raises:
        ClusterError: it did not start.
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
            message = f"the supervisor ended at once; see {log_path}"
            raise ClusterError(message)
        process.stdin.write(GO)
        process.stdin.close()
    except BaseException:
        process.kill()
        process.wait()
        raise


def _true_identity(process: subprocess.Popen[str], *, isolated: bool) -> ProcessIdentity:
    """The supervisor itself: with namespaces, the only child of the `unshare` command."""
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
