"""All settings of the server: environment variables `MODEL_SERVER_*` and equal flags.

The only reader of the environment. It validates values, and decides nothing: how many threads or
which model format follow from a setting is decided where it is used. The docstring under a field
is its description everywhere: `--help`, the documentation and error messages.
"""

import ast
import inspect
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from model_server.errors import InvalidSettings

ENV_PREFIX = "MODEL_SERVER_"

Format = Literal["", "tflite", "savedmodel", "keras"]
Task = Literal["", "detection", "classification", "tensor"]
Scaling = Literal["auto", "none", "unit", "signed", "caffe", "torch"]

JpegDecoding = Literal["auto", "exact", "reduced"]

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
ModelName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)?$")]

_IMAGE_FORMATS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one server process tree is told. Immutable; only `load_settings` checks values."""

    model: str = ""
    """Model to serve: a file, a folder with one model in it, or bundled://detector or
    bundled://classifier. Empty: the bundled detector."""

    models_dir: Path | None = None
    """Folder whose subfolders are models, each served under its folder's name. Replaces --model."""

    name: ModelName = ""
    """Name the model is served under, as in /v1/models/NAME. Empty: taken from the file's name."""

    format: Format = ""
    """Format of the model: tflite, savedmodel or keras. Empty: detected from the files."""

    labels: Path | None = None
    """File with the class names: text, JSON or pbtxt. Empty: searched beside the model, then in
    the model's own metadata."""

    task: Task = ""
    """What the model does: detection, classification, or tensor (V2 tensors only). Empty:
    detected from the model's outputs."""

    preprocessing: Scaling = "auto"
    """How pixels 0 to 255 become a float input: none (as they are), unit (0 to 1), signed (-1 to
    1), caffe (BGR minus the ImageNet mean), torch (ImageNet mean and deviation). auto: from the
    model's metadata or architecture. Quantized inputs do not need it."""

    host: str = "0.0.0.0"  # noqa: S104 - a container must answer on its pod's address
    """Address to listen on."""

    port: Port = 5000
    """Port of the HTTP server. 0 lets the system choose a free one."""

    grpc_port: Port = 0
    """Port of the Open Inference Protocol over gRPC, usually 8081. 0: no gRPC."""

    grpc_reflection: bool = False
    """Whether the gRPC port describes its services to whoever asks, as grpcurl does."""

    probe_port: Port = 0
    """Port on which /healthz, /readyz and /metrics are answered as well, by a thread of their own,
    whatever clients do to the other ports; usually 8082. 0: on the HTTP port only."""

    public_metrics: bool = True
    """Whether /metrics is on the HTTP port, where every client can read it. false: on the probe
    port only."""

    workers: Count = 0
    """Worker processes. 0: one, which shares the model's memory between its threads."""

    threads: Count = 0
    """HTTP threads of each worker. 0: enough for the queue, with some left for health checks."""

    model_instances: Count = 0
    """Copies of the model that compute at the same time in each worker. 0: chosen from the CPUs
    that the container may use."""

    model_threads: Count = 0
    """CPU threads of each copy of the model. 0: chosen from the CPUs that the container may use."""

    container_concurrency: Count = 0
    """Requests that may be worked on at the same time. 0: chosen from the CPUs."""

    queue_size: Count = 64
    """Requests that may wait for their turn; one more is answered 503 with Retry-After."""

    timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """Time a request may take, its upload and its waiting included; then it is answered 504, or
    408 if its body has not come yet."""

    max_batch_size: Positive = 1
    """Requests computed together at most. 1: no batching."""

    max_latency_ms: Annotated[float, Meta(ge=0, le=10_000)] = 5.0
    """Time a request waits for others to share its batch, in milliseconds."""

    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Time for requests in progress to finish after SIGTERM."""

    score_threshold: Fraction = 0.3
    """Detections with a lower score are left out. A request can say otherwise."""

    max_boxes: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Detections in one answer at most, the best first. A request can ask for fewer or more."""

    top_k: Annotated[int, Meta(ge=1, le=1000)] = 5
    """Classes in one classification answer. A request can say otherwise."""

    max_body_bytes: Positive = 32 * 1024 * 1024
    """Largest request body, in bytes."""

    max_waiting_bytes: Positive = 256 * 1024 * 1024
    """Request bodies, and what is made of them, held at the same time, in bytes; more is 503."""

    max_image_pixels: Positive = 50_000_000
    """Largest picture, in pixels, checked before it is decoded."""

    max_image_side: Positive = 16_384
    """Longest side of a picture, in pixels, checked before it is decoded."""

    max_decoded_bytes: Positive = 512 * 1024 * 1024
    """Memory that decoded pictures may take at the same time, in bytes. A picture that needs more
    than all of it is refused; one that needs more than is left waits. Most kinds need 8 bytes a
    pixel, WebP 20, progressive JPEG 10."""

    max_instances: Positive = 32
    """Pictures or tensors in one request at most."""

    image_formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
    """Picture formats that are read, comma-separated. TIFF can be added."""

    jpeg_decoding: JpegDecoding = "auto"
    """Whether a JPEG much larger than the model's input is decoded at half, a quarter or an eighth
    of its size: exact (never; the same scores as a plain script), reduced (down to twice the
    input; several times faster for photographs of 12 megapixels, scores differ by up to 0.03), or
    auto: exact for quantized inputs, reduced to four times the input for others."""

    golden_image: Path | None = None
    """Picture that the model must get right before the server is ready."""

    golden_expect: str = ""
    """What the golden image must give, as LABEL or LABEL>=SCORE, for example person>=0.5."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity of log lines. Requests are logged at info."""

    log_format: Literal["json", "text"] = "json"
    """Form of log lines: one JSON object a line, or text for people."""


def setting_names() -> tuple[str, ...]:
    """Names of all settings, in the order of `--help`."""
    return Settings.__struct_fields__


def defaults() -> dict[str, Any]:
    """What each setting is when nobody says anything."""
    return dict(zip(setting_names(), Settings.__struct_defaults__, strict=True))


@cache
def descriptions() -> dict[str, str]:
    """The docstring under each setting; read from the source, which only `--help` needs."""
    (made,) = ast.parse(inspect.getsource(Settings)).body
    found, name = {}, ""
    for node in getattr(made, "body", []):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                continue
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
        name = ""
    return found


def load_settings(**overrides: Any) -> Settings:
    """Reads the environment; `overrides` (from flags) win over it.

    Raises:
        InvalidSettings: naming every wrong flag and variable, and what it must be.
    """
    unknown = [name for name in overrides if name not in setting_names()]
    problems = [f"{variable_of(name)}: there is no such setting" for name in unknown]
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        given = overrides.get(field.name, os.environ.get(variable_of(field.name)))
        if given is None or _is_absent(field.name, given):
            continue
        try:
            values[field.name] = _converted(field.name, given, field.type)
        except ValueError as error:
            # Without the value: a variable may come from a Secret, and this ends in Events.
            problems.append(f"{flag_of(field.name)} ({variable_of(field.name)}): {error}")
    if problems:
        raise InvalidSettings("; ".join(problems))
    return Settings(**values)


def flag_of(field: str) -> str:
    """`max_body_bytes` to `--max-body-bytes`."""
    return "--" + field.replace("_", "-")


def variable_of(field: str) -> str:
    """`max_body_bytes` to `MODEL_SERVER_MAX_BODY_BYTES`."""
    return ENV_PREFIX + field.upper()


def _is_absent(name: str, given: Any) -> bool:
    """Whether a value is as good as none.

    Kubernetes gives every pod MODEL_SERVER_PORT=tcp://... when its namespace has a Service named
    model-server. That is not ours.
    """
    if given == "":
        return True
    return (
        name in {"port", "grpc_port", "probe_port"}
        and isinstance(given, str)
        and given.startswith("tcp://")
    )


def _converted(name: str, given: Any, kind: Any) -> Any:
    """A value, or its text in a variable or flag, as the setting's type.

    Raises:
        ValueError: saying what it must be.
    """
    if kind == Path | None:
        return Path(given)
    if name == "image_formats":
        return _formats(given)
    if get_origin(kind) is Literal and given not in (options := get_args(kind)):
        raise ValueError(f"it must be one of {', '.join(filter(None, options))}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(str(error))) from error


def _in_words(problem: str) -> str:
    """What msgspec says ("Expected `int` <= 65535") as a person says it."""
    wanted = problem.removeprefix("Expected ").partition(", got")[0]
    for kind, word in (("`int`", "a whole number"), ("`float`", "a number"), ("`str`", "text")):
        wanted = wanted.replace(kind, word)
    return f"it must be {wanted}"


def _formats(given: Any) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    found = tuple(part.strip().upper() for part in parts if part.strip())
    if not found or not _IMAGE_FORMATS.issuperset(found):
        raise ValueError(f"formats must be some of {', '.join(sorted(_IMAGE_FORMATS))}")
    return found
