"""Parses `spec.predictor.model`: what is served and where it comes from. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inference_operator.api.reader import Reader
from inference_operator.api.types import Format, Model, Source, SourceKind
from inference_operator.errors import SpecError
from inference_operator.objects import Json

_REMOTE = re.compile(r"(https?|s3|gs|oci)://.", re.DOTALL)
_CLAIM = re.compile(r"pvc://([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)(?:/(.*))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
RESERVED_ENVIRONMENT = frozenset(
    {
        "MODEL_SERVER_MODEL",
        "MODEL_SERVER_NAME",
        "MODEL_SERVER_FORMAT",
        "MODEL_SERVER_PORT",
        "MODEL_SERVER_GOLDEN",
    }
)
FORMATS = {
    "tflite": Format.TFLITE,
    "savedmodel": Format.SAVEDMODEL,
    "tensorflow": Format.SAVEDMODEL,
    "keras": Format.KERAS,
}


def parse_model(predictor: Reader) -> Model:
    """The model, from `model` or its short form `tensorflow`.

    Raises:
        SpecError: A field is wrong or not supported; the message names it.
    """
    if predictor.has("model") and predictor.has("tensorflow"):
        raise SpecError(
            predictor.path("model"), "cannot be combined with tensorflow: remove one of them"
        )
    short_form = predictor.child("tensorflow")
    model = predictor.child("model")
    if predictor.has("tensorflow"):
        model, kind = short_form, Format.SAVEDMODEL
    else:
        kind = _parse_format(model)
    source = _parse_source(model)
    model.choice("protocolVersion", ("v1", "v2"))
    resources = model.child("resources")
    parsed = Model(
        source=source,
        format=kind,
        image=model.text(
            "image", lambda image: not re.search(r"\s", image), "contains whitespace: remove it"
        ),
        image_pull_policy=model.choice("imagePullPolicy", ("Always", "IfNotPresent", "Never"))
        or "IfNotPresent",
        requests=resources.quantities("requests"),
        limits=resources.quantities("limits"),
        env=_parse_environment(model),
        env_from=model.objects("envFrom"),
    )
    resources.finish()
    model.finish()
    return parsed


def _parse_format(model: Reader) -> Format:
    described = model.child("modelFormat")
    name = described.choice(
        "name", FORMATS, "use tflite, savedmodel (tensorflow is the same) or keras"
    )
    described.choice("version", ("1", "2", "3"))
    described.finish()
    if model.has("modelFormat") and not name:
        raise SpecError(described.path("name"), "is missing: use tflite, savedmodel or keras")
    return FORMATS[name] if name else Format.UNKNOWN


def _parse_source(model: Reader) -> Source:
    uri = model.text("storageUri") or "bundled://detector"
    where = model.path("storageUri")
    sha256 = model.text(
        "sha256", lambda text: bool(_SHA256.fullmatch(text)), "is not 64 hexadecimal digits"
    )
    files = _parse_digests(model)
    if _REMOTE.match(uri):
        return Source(SourceKind.REMOTE, uri, sha256=sha256, files=files)
    for key in ("sha256", "fileSha256"):
        if model.has(key):
            raise SpecError(
                model.path(key),
                f"only applies to downloads, and {uri!r} is not downloaded: remove it",
            )
    if uri in {"bundled://detector", "bundled://classifier"}:
        return Source(SourceKind.BUNDLED, uri)
    if uri.startswith("bundled://"):
        raise SpecError(
            where, f"{uri!r} is not in the image: use bundled://detector or bundled://classifier"
        )
    claim = _CLAIM.fullmatch(uri)
    if claim is None:
        raise SpecError(
            where,
            f"{uri!r} must start with https://, http://, s3://, gs://, oci:// or bundled://, or "
            "be pvc://CLAIM/PATH",
        )
    path = (claim[2] or "").strip("/")
    if ".." in path.split("/"):
        raise SpecError(where, f"{uri!r}: the path in the volume must not contain '..'")
    return Source(SourceKind.VOLUME, uri, claim=claim[1], path=path)


def _parse_digests(model: Reader) -> Mapping[str, str]:
    digests = model.texts("fileSha256")
    for path, digest in digests.items():
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise SpecError(
                model.path("fileSha256"),
                f"{path!r} must be a relative path of a file in the model, without '..'",
            )
        if not _SHA256.fullmatch(digest):
            raise SpecError(model.path("fileSha256"), f"{path}: is not 64 hexadecimal digits")
    return digests


def _parse_environment(model: Reader) -> tuple[Json, ...]:
    entries = model.objects("env")
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        one = Reader(entry, f"{model.path('env')}[{index}]")
        name = one.text("name")
        if not name or name in seen:
            raise SpecError(one.path("name"), f"{name!r} is empty or a duplicate")
        if name in RESERVED_ENVIRONMENT:
            raise SpecError(
                one.path("name"),
                f"{name} is set by the operator: use storageUri, metadata.name or modelFormat",
            )
        one.text("value")
        one.mapping("valueFrom")
        one.finish()
        seen.add(name)
    return entries
