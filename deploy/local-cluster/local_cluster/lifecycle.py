"""Starts and stops clusters; safe to repeat and to interrupt."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_cluster import background, control_plane, external, packages, teardown, whole_cluster
from local_cluster import state as states
from local_cluster.api import ApiServer
from local_cluster.build import ensure_binary, revision
from local_cluster.console import Progress, elapsed, say
from local_cluster.errors import ClusterError
from local_cluster.processes import is_running, wait_until
from local_cluster.programs import RIGHTS_GATE
from local_cluster.state import Mode, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local_cluster.layout import Layout
    from local_cluster.state import State

READY_SECONDS = 240.0


class Interrupted(BaseException):
    """The command received SIGINT or SIGTERM."""


@contextmanager
def folder_lock(layout: Layout) -> Iterator[None]:
    """Allow one command at a time to change a folder's cluster.

    Raises:
        ClusterError: the folder is not writable.
    """
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        file = (layout.root / "lock").open("w")
    except OSError as error:
        message = f"cannot write to the cluster's folder {layout.root}: {error.strerror}"
        raise ClusterError(message) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another local-cluster command in {layout.root}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `Interrupted`; ignore later ones during clean-up."""

    def interrupt(number: int, _frame: object) -> None:
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ended_programs(layout: Layout) -> dict[str, str]:
    """Programs that ended, and how; empty while all are running."""
    return {
        name: text
        for name, text in read_programs(layout).items()
        if text not in {"running", "waiting"}
    }


def read_programs(layout: Layout) -> dict[str, str]:
    """The supervisor's report per program; empty before it has started."""
    try:
        record = json.loads(layout.programs.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {str(name): str(text) for name, text in record.items()}


def has_begun(layout: Layout, state: State) -> bool:
    """Whether the recorded supervisor is running and was released.

    If its command was killed before releasing it, the supervisor exits by itself. Wait for that:
    until then it looks like a running cluster.
    """
    wait_until(lambda: bool(read_programs(layout)) or not is_running(state.supervisor), 10.0)
    return is_running(state.supervisor)


def wait_for(
    layout: Layout, state: State, what: str, condition: Callable[[], bool], progress: Progress
) -> None:
    """Wait for a condition while the cluster's programs are running.

    Raises:
        ClusterError: a program ended, or the condition is false after four minutes.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        ended = ended_programs(layout)
        if ended:
            name, how = next(iter(ended.items()))
            message = (
                f"{name} {how}; the end of its log:\n{last_lines(layout.logs / f'{name}.log')}"
            )
            raise ClusterError(message)
        if not is_running(state.supervisor):
            log = layout.logs / "supervisor.log"
            message = f"the supervisor ended; the end of its log:\n{last_lines(log)}"
            raise ClusterError(message)
        if time.monotonic() > deadline:
            message = (
                f"timed out after {READY_SECONDS:.0f} s waiting for {what}; "
                f"see the logs in {layout.logs}"
            )
            raise ClusterError(message)
        progress.show(f"waiting for {what}")
        time.sleep(0.1)


def last_lines(path: Path, count: int = 12) -> str:
    """The end of a log, for an error message."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return f"(no {path})"
    return "\n".join(lines[-count:])


def clear_logs(layout: Layout) -> None:
    """Delete the logs of the previous run."""
    if layout.logs.is_dir():
        for log in layout.logs.glob("*.log"):
            log.unlink()


def up(layout: Layout, profile: Profile, context: str = "") -> None:
    """Ensure that the cluster is running; on failure or interruption, remove what was started.

    Args:
        layout: the cluster's files.
        profile: what to start, for a cluster without Docker.
        context: kubeconfig context of an existing cluster; empty to create one, with kind where
            Docker and kind are installed.

    Raises:
        ClusterError: the cluster did not start; only its logs remain.
    """
    with folder_lock(layout), interruptible():
        state = states.load(layout.state)
        if context or (state is not None and state.mode != Mode.OWN):
            _use_external(layout, state, context)
        elif state is not None and has_begun(layout, state):
            _check_running(layout, state, profile)
        elif state is None and profile == Profile.FULL and external.kind_is_usable():
            with _undone_unless_finished(layout):
                external.create_kind(layout)
            say(f"The cluster is ready.\n  export KUBECONFIG={layout.kubeconfig}")
        else:
            with _undone_unless_finished(layout):
                _start(layout, profile)


@contextmanager
def _undone_unless_finished(layout: Layout) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if isinstance(error, Interrupted):
            say(f"Interrupted by {error}: removing the cluster")
        remove(layout, states.load(layout.state))
        raise


def remove(layout: Layout, state: State | None) -> None:
    """Remove what `up` created, whatever kind of cluster it is."""
    if state is not None and state.mode != Mode.OWN:
        external.release(layout, state)
    else:
        teardown.remove_own_cluster(layout, state)


def _use_external(layout: Layout, state: State | None, context: str) -> None:
    if state is None:
        external.use_context(layout, context)
    elif state.mode == Mode.OWN or (context and context != state.context):
        message = (
            f"{layout.root} already holds another cluster ({state.mode}"
            f"{': ' + state.context if state.context else ''}), not the context {context!r}: "
            f"run `local-cluster down` first, or choose another --dir"
        )
        raise ClusterError(message)
    elif external.is_ready(layout):
        say(f"The cluster of context {state.context} is reachable.")
    else:
        message = (
            f"the cluster of context {state.context} is unreachable; if it was deleted, run "
            f"`local-cluster down`, then `local-cluster up`"
        )
        raise ClusterError(message)


def _start(layout: Layout, profile: Profile) -> None:
    if profile == Profile.FULL:
        packages.check_machine()
        packages.ensure(packages.NODE_REQUIREMENTS)
    binary = ensure_binary()
    progress = Progress()
    stale = states.load(layout.state)
    if stale is not None:
        say("Cleaning up after a previous cluster that ended without `down`")
    teardown.remove_own_cluster(layout, stale)
    clear_logs(layout)
    begin = whole_cluster.start if profile == Profile.FULL else control_plane.start
    state = begin(layout, binary)
    finish(layout, state, progress)
    progress.close()
    say(f"The cluster is ready after {elapsed(progress.seconds)}.")
    say(f"  export KUBECONFIG={layout.kubeconfig}")


def server_url(state: State) -> str:
    """URL of a cluster's API server."""
    if state.profile == Profile.FULL:
        return whole_cluster.server_url(state)
    return control_plane.server_url(state)


def finish(layout: Layout, state: State, progress: Progress) -> None:
    """Apply the add-ons and wait until everything is ready. Safe to repeat."""
    api = ApiServer(server_url(state), layout.pki)
    wait_for(layout, state, "the API server", lambda: api.is_ok("/readyz"), progress)
    if state.profile == Profile.FULL:
        whole_cluster.load_pause_image(layout, state)
        for manifest in whole_cluster.addons(layout, state):
            api.apply(manifest)
        (layout.config / RIGHTS_GATE).touch()
        conditions = whole_cluster.checks(state, api)
    else:
        conditions = control_plane.checks(api)
    for what, holds in conditions.items():
        wait_for(layout, state, what, holds, progress)


def _check_running(layout: Layout, state: State, profile: Profile) -> None:
    if state.profile != profile:
        message = (
            f"the cluster in {layout.root} was started as '{state.profile}', not '{profile}': "
            f"run `local-cluster down` first, or choose another --dir"
        )
        raise ClusterError(message)
    finish(layout, state, Progress())
    say(f"The cluster in {layout.root} is already running.")
    if state.revision != revision():
        say("  Another revision of the project started it; run `down`, then `up`, to replace it.")


def down(layout: Layout) -> None:
    """Remove the cluster; does nothing if there is none."""
    if not layout.root.is_dir():
        say(f"There is no cluster in {layout.root}.")
        return
    with folder_lock(layout):
        background.stop(layout)
        state = states.load(layout.state)
        remove(layout, state)
    (layout.root / "lock").unlink(missing_ok=True)
    if state is None:
        say(f"There was no cluster in {layout.root}.")
    elif state.mode == Mode.OWN:
        say("The cluster is deleted.")
