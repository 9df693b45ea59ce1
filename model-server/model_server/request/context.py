"""A request's deadline, ID and timings, passed explicitly through the data plane."""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from model_server.errors import ClientGone, DeadlineExceeded

_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id(sent: object) -> str:
    """The client's own ID if it is safe in logs and headers, else a new one.

    Args:
        sent: The client's `X-Request-Id`, unvalidated and of any type.
    """
    return sent if isinstance(sent, str) and _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Step:
    """One timed step of a request.

    Attributes:
        stage: Name of the stage.
        started: `time.perf_counter()` seconds.
        ended: `time.perf_counter()` seconds.
        busy: Seconds of work in it; less than its length while a streamed response waits for the
            client.
    """

    stage: str
    started: float
    ended: float
    busy: float


class Timeline:
    """The steps of a request, for tracing; bounded.

    Attributes:
        steps: In order of their start.
        left_out: Number of steps beyond `MOST`.
    """

    MOST = 100

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.left_out = 0

    def add(self, stage: str, started: float, ended: float) -> None:
        """Adds a step, or extends the last one if it is of the same stage."""
        last = self.steps[-1] if self.steps else None
        if last is not None and last.stage == stage and not self.left_out:
            busy = last.busy + ended - started
            self.steps[-1] = Step(stage, last.started, ended, busy)
        elif len(self.steps) < self.MOST:
            self.steps.append(Step(stage, started, ended, ended - started))
        else:
            self.left_out += 1


@dataclass
class RequestContext:
    """One request.

    Attributes:
        request_id: In logs and in the response.
        deadline: `time.monotonic()` seconds; no work is started after it.
        client_gone: Returns whether the client has closed its connection.
        stages: Seconds spent so far, by stage.
        model: Name of the model that answered.
        batch_size: Number of requests in its inference.
        timeline: Steps for tracing; None if tracing is off.
        held: Resources to release once the response has been sent; see `close`.
    """

    request_id: str = ""
    deadline: float = float("inf")
    client_gone: Callable[[], bool] = _never
    stages: dict[str, float] = field(default_factory=dict)
    model: str = ""
    batch_size: int = 1
    timeline: Timeline | None = None
    held: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Releases `held`; called once, after the response was sent or abandoned."""
        self.held.close()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block as stage `name`; times of the same stage add up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.stages[name] = self.stages.get(name, 0.0) + ended - started
            if self.timeline is not None:
                self.timeline.add(name, started, ended)

    def seconds_left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Stops a request that no client is waiting for.

        Raises:
            DeadlineExceeded: if the deadline has passed.
            ClientGone: if the client has closed its connection.
        """
        if self.seconds_left() <= 0:
            raise DeadlineExceeded("the request timed out before its inference started")
        if self.client_gone():
            raise ClientGone("the client closed the connection before its inference started")
