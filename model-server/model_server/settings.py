"""The server's settings: `MODEL_SERVER_*` environment variables and the flags of the same names.

The only module that reads these variables. It validates values and decides nothing else. The
docstring under a field is its description in `--help` and in the documentation.
"""

import ast
import inspect
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
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

BoxFormat = Literal["auto", "yxyx", "xyxy", "cxcywh"]
BoxUnits = Literal["auto", "fraction", "pixels"]
_ROLE = "(boxes|classes|scores|count)=[^,=]+"
DetectorOutputs = Annotated[str, Meta(pattern=f"^({_ROLE}(,{_ROLE})*)?$")]
JpegDecoding = Literal["auto", "exact", "reduced"]
Resizing = Literal["auto", "pillow"]

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
ModelName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)?$")]

# Variables that Kubernetes derives from a Service named model-server.
_SERVICE = re.compile(
    rf"{ENV_PREFIX}(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)"
)
_IMAGE_FORMATS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"}


class GoldenPicture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A picture and the expected result; an empty `label` accepts any result."""

    image: str
    label: str = ""
    min_score: Fraction = 0.0
    name: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one server. Immutable; `load_settings` validates the values."""

    model: str = ""
    """Model to serve: a file, a folder with one model in it, or bundled://detector or
    bundled://classifier. Default: the bundled detector."""

    models_dir: Path | None = None
    """Folder of models: each subfolder is served under its own name. Cannot be combined with
    --model. A model that fails to load does not stop the others; /readyz lists it."""

    name: ModelName = ""
    """Name of the model in URLs, as in /v1/models/NAME. Default: derived from the file name. With
    --models-dir: the model that requests without a name use."""

    format: Format = ""
    """Model format: tflite, savedmodel or keras. Default: detected from the files."""

    labels: Path | None = None
    """File with the class names (text, JSON or pbtxt). Default: found beside the model or in the
    model's metadata."""

    task: Task = ""
    """What the model does: detection, classification, or tensor (raw outputs only). Default:
    detected from the model's outputs."""

    preprocessing: Scaling = "auto"
    """How pixel values 0-255 are converted for a float input: none (unchanged), unit (0 to 1),
    signed (-1 to 1), caffe (BGR minus the ImageNet mean) or torch (ImageNet mean and standard
    deviation). auto: taken from the model's metadata or architecture. Not used for quantized
    inputs."""

    box_format: BoxFormat = "auto"
    """Order of the four numbers of a detector's boxes: yxyx (ymin, xmin, ymax, xmax), xyxy, or
    cxcywh (centre and size). auto: from the model, or seen on drawn pictures."""

    box_units: BoxUnits = "auto"
    """Unit of a detector's boxes: fraction (of the picture) or pixels. auto: from their values."""

    detector_outputs: DetectorOutputs = ""
    """Which outputs of a detector are which, as boxes=NAME,classes=NAME,scores=NAME,count=NAME;
    count can be left out. Empty: from the model's operators, names and values."""

    host: str = ""
    """Address to listen on, for example 127.0.0.1 or ::1. Empty: every address, IPv4 and IPv6."""

    port: Port = 5000
    """HTTP port. 0: a free port chosen by the system."""

    grpc_port: Port = 0
    """Port for the Open Inference Protocol over gRPC, usually 8081. 0: gRPC is off."""

    grpc_reflection: bool = False
    """Whether the gRPC port describes its services to whoever asks, as grpcurl does."""

    probe_port: Port = 0
    """Port on which /healthz, /readyz and /metrics are answered as well, by a thread of their own,
    whatever clients do to the other ports; usually 8082. 0: on the HTTP port only."""

    public_metrics: bool = True
    """Whether /metrics is on the HTTP port, where every client can read it. false: on the probe
    port only."""

    workers: Count = 0
    """Worker processes. 0: one process, whose threads share a single copy of the model."""

    threads: Count = 0
    """HTTP threads per worker. 0: enough for the queue, plus a reserve for health checks."""

    model_instances: Count = 0
    """Inferences that run in parallel in each worker, each on its own copy of the model. 0: chosen
    from the CPUs available to the container."""

    model_threads: Count = 0
    """CPU threads per inference. 0: chosen from the CPUs available to the container."""

    container_concurrency: Count = 0
    """Maximum number of requests processed at the same time. 0: chosen from the available CPUs."""

    queue_size: Count = 64
    """Maximum number of waiting requests. Further requests get 503 with Retry-After."""

    timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """Time limit for a request, including upload and queueing. After it the answer is 504, or 408
    if the body has not arrived."""

    max_batch_size: Positive = 1
    """Maximum number of requests combined into one inference. 1: no batching."""

    max_latency_ms: Annotated[float, Meta(ge=0, le=10_000)] = 5.0
    """How long a request may wait for others to join its batch, in milliseconds."""

    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Time for requests in progress to finish after SIGTERM."""

    score_threshold: Fraction = 0.3
    """Minimum score of the detections returned. Requests can override it."""

    max_boxes: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Maximum number of detections returned, best first. Requests can override it."""

    top_k: Annotated[int, Meta(ge=1, le=1000)] = 5
    """Number of classes returned by a classifier, best first. Requests can override it."""

    max_body_bytes: Positive = 32 * 1024 * 1024
    """Maximum size of a request body, in bytes."""

    max_waiting_bytes: Positive = 256 * 1024 * 1024
    """Maximum total size of the request bodies held at the same time, with what is parsed from
    them, in bytes. Further requests get 503."""

    max_image_pixels: Positive = 50_000_000
    """Maximum number of pixels in a picture, checked before decoding."""

    max_image_side: Positive = 16_384
    """Maximum width and height of a picture in pixels, checked before decoding."""

    max_decoded_bytes: Positive = 512 * 1024 * 1024
    """Maximum memory for decoded pictures at the same time, in bytes. Pictures wait until enough is
    free; one that could never fit is refused. Most formats need 8 bytes per pixel, progressive
    JPEG 10, WebP 20."""

    max_instances: Positive = 32
    """Maximum number of pictures or tensors in one request."""

    image_formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
    """Picture formats to accept, comma-separated. TIFF can be added."""

    jpeg_decoding: JpegDecoding = "auto"
    """Whether a JPEG much larger than the model's input is decoded at 1/2, 1/4 or 1/8 of its size.
    exact: never, so that scores match a plain script. reduced: down to twice the input size;
    several times faster for 12-megapixel photos, but scores differ by up to 0.03. auto: exact for
    quantized inputs; for others, down to four times the input size."""

    resizing: Resizing = "auto"
    """Resizer: auto (our own code on processors with AVX2 or AVX512-VNNI, four to ten times as
    fast; Pillow elsewhere) or pillow. The pixels are identical."""

    golden: tuple[GoldenPicture, ...] = ()
    """Pictures the model must recognize before the server becomes ready, as a JSON list of
    {"image": FILE, "label": LABEL, "min_score": 0 to 1, "name": NAME IN MESSAGES}. Only image is
    required. A relative FILE is in the model's folder."""

    golden_image: Path | None = None
    """A single golden picture, in addition to --golden."""

    golden_expect: str = ""
    """Expected result for the golden image: LABEL or LABEL>=SCORE, for example person>=0.5."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum log level. Requests are logged at info."""

    log_format: Literal["json", "text"] = "json"
    """Log format: json (one object per line) or text."""


def setting_names() -> tuple[str, ...]:
    """Names of all settings, in the order of `--help`."""
    return Settings.__struct_fields__


def defaults() -> dict[str, Any]:
    """The default of each setting."""
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
        InvalidSettings: naming every invalid flag or variable and the values it accepts.
    """
    unknown = [name for name in overrides if name not in setting_names()]
    problems = [f"unknown setting {variable_of(name)}" for name in unknown]
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


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that begin like ours and are no setting, each with the setting probably meant.

    Without the variables that Kubernetes sets for a Service named model-server.
    """
    known = {variable_of(name) for name in setting_names()}
    unknown = (
        name
        for name in environ
        if name.startswith(ENV_PREFIX) and name not in known and not _SERVICE.fullmatch(name)
    )
    return {name: next(iter(get_close_matches(name, known, 1, 0.8)), "") for name in unknown}


def flag_of(field: str) -> str:
    """`max_body_bytes` to `--max-body-bytes`."""
    return "--" + field.replace("_", "-")


def variable_of(field: str) -> str:
    """`max_body_bytes` to `MODEL_SERVER_MAX_BODY_BYTES`."""
    return ENV_PREFIX + field.upper()


def _is_absent(name: str, given: Any) -> bool:
    """Whether a value counts as not set.

    Kubernetes sets MODEL_SERVER_PORT=tcp://... in every pod of a namespace with a Service named
    model-server; that variable is not ours.
    """
    if given == "":
        return True
    return (
        name in {"port", "grpc_port", "probe_port"}
        and isinstance(given, str)
        and given.startswith("tcp://")
    )


def _converted(name: str, given: Any, kind: Any) -> Any:
    """Converts a value, or the text of a variable or flag, to the setting's type.

    Raises:
        ValueError: with the accepted values.
    """
    if kind == Path | None:
        return Path(given)
    if name == "image_formats":
        return _formats(given)
    if name == "golden":
        return _golden(given)
    if get_origin(kind) is Literal and given not in (options := get_args(kind)):
        raise ValueError(f"must be one of {', '.join(filter(None, options))}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(str(error))) from error


def _in_words(problem: str) -> str:
    """Rewords msgspec's "Expected `int` <= 65535"."""
    wanted = problem.removeprefix("Expected ").partition(", got")[0]
    for kind, word in (("`int`", "a whole number"), ("`float`", "a number"), ("`str`", "text")):
        wanted = wanted.replace(kind, word)
    return f"must be {wanted}"


def _formats(given: Any) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    found = tuple(part.strip().upper() for part in parts if part.strip())
    if not found or not _IMAGE_FORMATS.issuperset(found):
        raise ValueError(f"must be a comma-separated list of {', '.join(sorted(_IMAGE_FORMATS))}")
    return found


def _golden(given: Any) -> tuple[GoldenPicture, ...]:
    kind = tuple[GoldenPicture, ...]
    try:
        if isinstance(given, str):
            return msgspec.json.decode(given, type=kind)
        return msgspec.convert(given, kind)
    except msgspec.MsgspecError as error:
        raise ValueError(
            f'must be a JSON list like [{{"image": "a.jpg", "label": "cat"}}]: {error}'
        ) from error
