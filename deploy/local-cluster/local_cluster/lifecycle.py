"""Bringing a cluster of our own up and down, safely against repetition and interruption."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_cluster import control_plane, foreign, packages, teardown, whole_cluster
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
    """The command was told to end (SIGINT or SIGTERM)."""


@contextmanager
def folder_lock(layout: Layout) -> Iterator[None]:
    """Let one command at a time change the cluster of a folder.

    Raises:
        ClusterError: the folder cannot be written to.
    """
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        file = (layout.root / "lock").open("w")
    except OSError as error:
        message = f"the cluster's folder {layout.root} cannot be written to: {error.strerror}"
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
    """Turn SIGINT and SIGTERM into `Interrupted`, once; later ones do not disturb the clean-up."""

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
    """The programs that the supervisor saw end, and how; empty while all is well."""
    return {
        name: text
        for name, text in read_programs(layout).items()
        if text not in {"running", "waiting"}
    }


def read_programs(layout: Layout) -> dict[str, str]:
    """What the supervisor says of each program; empty when there is no supervisor yet."""
    try:
        record = json.loads(layout.programs.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {str(name): str(text) for name, text in record.items()}


def has_begun(layout: Layout, state: State) -> bool:
    """Whether the recorded supervisor runs and has been told to go.

    One whose command was killed before it could say so ends by itself; that is waited for, because
    until then it looks like a running cluster.
    """
    wait_until(lambda: bool(read_programs(layout)) or not is_running(state.supervisor), 10.0)
    return is_running(state.supervisor)


def wait_for(
    layout: Layout, state: State, what: str, condition: Callable[[], bool], progress: Progress
) -> None:
    """Wait for a condition, while the cluster's programs live.

    Raises:
        ClusterError: a program ended, or the condition did not come true in four minutes.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        ended = ended_programs(layout)
        if ended:
            name, how = next(iter(ended.items()))
            message = f"{name} {how}; its last words:\n{last_lines(layout.logs / f'{name}.log')}"
            raise ClusterError(message)
        if not is_running(state.supervisor):
            log = layout.logs / "supervisor.log"
            message = f"the supervisor ended; its last words:\n{last_lines(log)}"
            raise ClusterError(message)
        if time.monotonic() > deadline:
            message = f"{what}: not within {READY_SECONDS:.0f} s; see the logs in {layout.logs}"
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
    """Start the logs afresh: they are about one run of the cluster."""
    if layout.logs.is_dir():
        for log in layout.logs.glob("*.log"):
            log.unlink()


def up(layout: Layout, profile: Profile, context: str = "") -> None:
    """Have a cluster run; whatever fails or interrupts, none is left half-way.

    Args:
        layout: the cluster's files.
        profile: how much of a cluster of our own to start.
        context: kubeconfig context of a cluster to use instead; empty for one of our own, or
            kind's where there is Docker and kind.

    Raises:
        ClusterError: it could not be started; nothing of it is left but its logs.
    """
    with folder_lock(layout), interruptible():
        state = states.load(layout.state)
        if context or (state is not None and state.mode != Mode.OWN):
            _use_foreign(layout, state, context)
        elif state is not None and has_begun(layout, state):
            _check_running(layout, state, profile)
        elif state is None and profile == Profile.FULL and foreign.kind_is_usable():
            with _undone_unless_finished(layout):
                foreign.create_kind(layout)
            say(f"The cluster is up.\n  export KUBECONFIG={layout.kubeconfig}")
        else:
            with _undone_unless_finished(layout):
                _start(layout, profile)


@contextmanager
def _undone_unless_finished(layout: Layout) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if isinstance(error, Interrupted):
            say(f"Interrupted by {error}: taking the cluster away again")
        remove(layout, states.load(layout.state))
        raise


def remove(layout: Layout, state: State | None) -> None:
    """Take away what `up` made, whatever kind of cluster it is."""
    if state is not None and state.mode != Mode.OWN:
        foreign.release(layout, state)
    else:
        teardown.remove_own_cluster(layout, state)


def _use_foreign(layout: Layout, state: State | None, context: str) -> None:
    if state is None:
        foreign.use_context(layout, context)
    elif state.mode == Mode.OWN or (context and context != state.context):
        message = (
            f"{layout.root} already holds a cluster ({state.mode}"
            f"{': ' + state.context if state.context else ''}), which is not the context "
            f"{context!r}: run `local-cluster down` first, or choose another --dir"
        )
        raise ClusterError(message)
    elif foreign.answers(layout):
        say(f"The cluster of context {state.context} answers.")
    else:
        message = (
            f"the cluster of context {state.context} does not answer; if it is gone, run "
            f"`local-cluster down` and then `up`"
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
        say("Clearing what an earlier cluster here left when it ended without `down`")
    teardown.remove_own_cluster(layout, stale)
    clear_logs(layout)
    begin = whole_cluster.start if profile == Profile.FULL else control_plane.start
    state = begin(layout, binary)
    finish(layout, state, progress)
    progress.close()
    say(f"The cluster is up after {elapsed(progress.seconds)}.")
    say(f"  export KUBECONFIG={layout.kubeconfig}")


def server_url(state: State) -> str:
    """URL of a cluster's API server."""
    if state.profile == Profile.FULL:
        return whole_cluster.server_url(state)
    return control_plane.server_url(state)


def finish(layout: Layout, state: State, progress: Progress) -> None:
    """Complete what was started, and wait until all of it answers. Safe to repeat."""
    api = ApiServer(server_url(state), layout.pki)
    wait_for(layout, state, "the API server", lambda: api.answers("/readyz"), progress)
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
            f"the cluster in {layout.root} runs as '{state.profile}', not '{profile}': "
            f"run `down` first, or choose another --dir"
        )
        raise ClusterError(message)
    finish(layout, state, Progress())
    say(f"The cluster in {layout.root} is up already.")
    if state.revision != revision():
        say("  It was started by another revision of the project: `down`, then `up`, renews it.")


def down(layout: Layout) -> None:
    """Take the cluster away; nothing happens when there is none."""
    if not layout.root.is_dir():
        say(f"There is no cluster in {layout.root}.")
        return
    with folder_lock(layout):
        state = states.load(layout.state)
        remove(layout, state)
    (layout.root / "lock").unlink(missing_ok=True)
    if state is None:
        say(f"There was no cluster in {layout.root}.")
    elif state.mode == Mode.OWN:
        say("The cluster is gone.")
