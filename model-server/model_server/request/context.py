"""What goes with a request on its way through the data plane: its deadline and its stopwatch.

Passed along explicitly, so that inference needs no web framework to know when to give up.
"""

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
        sent: What the client sent as `X-Request-Id`; anything at all.
    """
    return sent if isinstance(sent, str) and _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Step:
    """One stretch of a request's time.

    Attributes:
        stage: What was done.
        started: `time.perf_counter()` seconds.
        ended: The same.
        busy: Seconds of it that were spent in the stage; a streamed answer waits for its client.
    """

    stage: str
    started: float
    ended: float
    busy: float


class Timeline:
    """When each stage of a request began and ended; its first so many steps.

    Attributes:
        steps: In the order of their beginning.
        left_out: How many were too many.
    """

    MOST = 100

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.left_out = 0

    def add(self, stage: str, started: float, ended: float) -> None:
        """Notes a step; one that repeats the last stage, as a further block does, prolongs it."""
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
        request_id: For logs and for the client.
        deadline: `time.monotonic()` seconds after which the answer is of no use.
        client_gone: Tells whether the client has closed its connection.
        stages: Seconds spent so far, by stage.
        model: Name of the model that answered; for logs and metrics.
        batch_size: Requests that shared its inference.
        timeline: When its stages were; None unless somebody wants to know.
        held: What the request holds until its answer has been sent; see `close`.
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
        """Lets go of what is held; called once, when the answer has been sent or given up."""
        self.held.close()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the time spent inside under `name`; times of equal names add up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.stages[name] = self.stages.get(name, 0.0) + ended - started
            if self.timeline is not None:
                self.timeline.add(name, started, ended)

    def seconds_left(self) -> float:
        """Time until the deadline; negative once it has passed."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Gives up when the answer would reach nobody.

        Raises:
            DeadlineExceeded: if the request's time is up.
            ClientGone: if its client has hung up.
        """
        if self.seconds_left() <= 0:
            raise DeadlineExceeded("the request's time was up before its inference began")
        if self.client_gone():
            raise ClientGone("the client closed its connection while the request was waiting")
