"""Who is measured and how each is started: one entry per server, nothing measured here.

Every peer gets the same model, the same decoding and the same number of workers and engine
threads; what differs is only what it is.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import installs, paths
from bench.assets.files import ModelFiles
from bench.serving import wire
from bench.serving.cases import Workload

OURS = "ours"
BATCHING = "ours (batching)"
REDUCED = "ours (reduced decoding)"
PILLOW = "ours (Pillow's resize)"
# Forms of ours: none is another's rival.
VARIANTS = frozenset({OURS, BATCHING, REDUCED, PILLOW})
RAW = "raw engine"
RAW_OPENCV = "raw engine (OpenCV)"
# How long a client of an open loop waits for its answer, in seconds. Ours is told.
PATIENCE = 10.0
# What each limit prepares its pictures with. The first does exactly the same work as everybody;
# the second gives up exactness for speed.
LIMITS = {RAW: "pillow", RAW_OPENCV: "opencv"}
ARTICLES = "articles' way"


@dataclass(frozen=True)
class Start:
    """What a contestant is started with.

    Attributes:
        files: The model to serve.
        workload: What it will be asked.
        ports: Free ports; the first is where it must answer.
        cores: How many cores it may use.
    """

    files: ModelFiles
    workload: Workload
    ports: tuple[int, int, int]
    cores: int

    def variables(self) -> dict[str, str]:
        """What the programs under ``peers`` read."""
        return {
            "BENCH_KIND": self.files.kind,
            "BENCH_MODEL": str(self.files.recommended),
            "BENCH_LABELS": str(self.files.labels),
            "BENCH_THREADS": "1",
            "BENCH_WORKERS": str(self.cores),
            "BENCH_TASK": self.workload.task,
            "BENCH_PORT": str(self.ports[0]),
            "BENCH_PORT_2": str(self.ports[1]),
            "BENCH_PORT_3": str(self.ports[2]),
            "PYTHONPATH": str(paths.HERE.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


Command = Callable[[Path, Start], list[str]]


@dataclass(frozen=True)
class Contestant:
    """One server.

    Attributes:
        name: As the table shows it.
        environment: Its virtual environment under ``environments``; empty for this project's own.
        command: The interpreter of that environment and the start to the command line.
        protocols: How each task is asked, by the workload's name, model and task, or task; what
            is absent is not offered.
        variables: On top of ``Start.variables``.
    """

    name: str
    environment: str
    command: Command
    protocols: Mapping[str, wire.Protocol]
    variables: Callable[[Start], dict[str, str]] = field(default=lambda _start: {})

    def does(self, workload: Workload) -> bool:
        """Whether it offers this task for this model."""
        return self.protocol(workload) is not None

    def protocol(self, workload: Workload) -> wire.Protocol | None:
        """How this workload is asked of it, or None."""
        for key in (workload.name, f"{workload.model} {workload.task}", workload.task):
            if key in self.protocols:
                return self.protocols[key]
        return None

    def interpreter(self) -> Path:
        """The Python of its environment, installed by now."""
        if not self.environment:
            return Path(sys.executable)
        return installs.python(self.environment)


def module(name: str, *arguments: str) -> Command:
    """``python -m`` of a program under ``peers``."""
    return lambda python, start: [
        str(python),
        "-m",
        f"bench.peers.{name}",
        *(argument.format(port=start.ports[0], ports=start.ports) for argument in arguments),
    ]


def ours(python: Path, start: Start) -> list[str]:
    """This project's server as a user starts it, but for its log."""
    return [
        str(python.parent / "model-server"),
        *("--model", str(start.files.recommended)),
        *("--labels", str(start.files.labels)),
        *("--name", "picture"),
        *("--host", "127.0.0.1"),
        *("--port", str(start.ports[0])),
        *("--score-threshold", "0.5"),
        *("--timeout-seconds", str(PATIENCE)),
        *("--log-level", "warning"),
    ]


def _batching(python: Path, start: Start) -> list[str]:
    return [*ours(python, start), "--max-batch-size", "8", "--max-latency-ms", "5"]


def _reduced(python: Path, start: Start) -> list[str]:
    return [*ours(python, start), "--jpeg-decoding", "reduced"]


def _pillow(python: Path, start: Start) -> list[str]:
    return [*ours(python, start), "--resizing", "pillow"]


def _articles(python: Path, start: Start) -> list[str]:
    kind = "detection" if start.files.kind == "detector" else "classification"
    return [str(python), "-m", f"bench.peers.article_{kind}"]


def _mlserver_folder(start: Start) -> dict[str, str]:
    return {
        "MLSERVER_HTTP_PORT": str(start.ports[0]),
        "MLSERVER_GRPC_PORT": str(start.ports[1]),
        "MLSERVER_METRICS_PORT": str(start.ports[2]),
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_PARALLEL_WORKERS": str(start.cores),
        "MLSERVER_DEBUG": "false",
        "MLSERVER_MODEL_NAME": "picture",
        "MLSERVER_MODEL_IMPLEMENTATION": "bench.peers.mlserver_runtime.Picture",
    }


ANSWER = "answer"
ALL = (
    Contestant(
        OURS,
        "",
        ours,
        {
            "detector answer": wire.OURS_DETECTIONS,
            "resnet50 answer": wire.FORM,
            "annotate": wire.OURS_ANNOTATE,
            "article": wire.ARTICLE,
        },
    ),
    Contestant(
        BATCHING,
        "",
        _batching,
        {
            "detector answer 0.3MP": wire.OURS_DETECTIONS,
            "detector annotate 0.3MP": wire.OURS_ANNOTATE,
        },
    ),
    Contestant(
        REDUCED,
        "",
        _reduced,
        {
            "detector answer 2MP": wire.OURS_DETECTIONS,
            "detector answer 12MP": wire.OURS_DETECTIONS,
        },
    ),
    Contestant(
        ARTICLES,
        "tensorflow",
        _articles,
        {"resnet50 answer": wire.FORM, "article": wire.ARTICLE},
        lambda start: {"BENCH_MODEL": str(start.files.articles()), "TF_CPP_MIN_LOG_LEVEL": "2"},
    ),
    Contestant(
        "mosec",
        "mosec",
        module("mosec_server", "--address", "127.0.0.1", "--port", "{port}", "--timeout", "60000"),
        {ANSWER: wire.RAW_BODY},
    ),
    Contestant(
        "kserve",
        "kserve",
        module("kserve_server", "--http_port", "{port}", "--enable_latency_logging", "false"),
        {ANSWER: wire.V1},
    ),
    Contestant(
        "mlserver",
        "mlserver",
        lambda python, _start: [str(python.parent / "mlserver"), "start", str(paths.MLSERVER)],
        {ANSWER: wire.V2_BASE64},
        _mlserver_folder,
    ),
    Contestant("litserve", "litserve", module("litserve_server"), {ANSWER: wire.BASE64_FIELD}),
    Contestant(
        "bentoml",
        "bentoml",
        lambda python, start: [
            *(str(python.parent / "bentoml"), "serve", "bench.peers.bentoml_service:Picture"),
            *("--host", "127.0.0.1", "--port", str(start.ports[0])),
        ],
        {ANSWER: wire.PREDICT_BODY},
        lambda _start: {"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Contestant(
        "ray serve",
        "ray-serve",
        module("ray_server"),
        {ANSWER: wire.ROOT_BODY},
        lambda _start: {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        },
    ),
    Contestant(
        "triton (pytriton)",
        "pytriton",
        module("pytriton_server"),
        {ANSWER: wire.V2_BYTES},
        # Its documentation: Triton's Python stub must find the libpython of the interpreter.
        lambda _start: {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))},
    ),
)
# Measured only when named.
ON_REQUEST = (Contestant(PILLOW, "", _pillow, ALL[0].protocols),)


def chosen(names: str) -> tuple[Contestant, ...]:
    """The contestants with these comma-separated names; all when empty.

    Raises:
        SystemExit: There is none of such a name.
    """
    if not names:
        return ALL
    wanted = [name.strip() for name in names.split(",")]
    known = {contestant.name: contestant for contestant in (*ALL, *ON_REQUEST)}
    known |= {contestant.environment: contestant for contestant in ALL if contestant.environment}
    for name in wanted:
        if name not in known and name not in LIMITS:
            raise SystemExit(
                f"--contestants: there is no {name!r}; there are {', '.join(sorted(known))}"
            )
    return tuple(known[name] for name in wanted if name in known)
