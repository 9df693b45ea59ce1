"""Records of the revisions, stored as ControllerRevisions.

`data` of a ControllerRevision is immutable, so it holds the pod template; annotations hold the
progress of the rollout. Pure: reads bodies and builds manifests.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from inference_operator import names
from inference_operator.objects import Json, Manifest


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why and when (seconds since 1970) a revision was rolled back."""

    reason: str
    message: str
    at: int


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """Progress of a revision's rollout; times are seconds since 1970.

    `attempt` identifies the settings under which the revision is tried. A stage consists of `step`,
    `weight` in percent, and `paused`; it began at `since`, and all its pods answered at `reached`
    (0: not yet). `scale` is the number of replicas that the stable side had before. The canary's
    pods stay until `handover_until` while the stable side scales up to `handover_replicas`.
    """

    attempt: str = ""
    step: int = 0
    weight: int = 100
    paused: bool = False
    since: int = 0
    reached: int = 0
    scale: int = 0
    handover_until: int = 0
    handover_replicas: int = 0


UNTRIED = Trial()


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision.

    `number` increases each time a different revision becomes the newest. `rolled_out` increases in
    the order in which revisions were fully rolled out; 0 means never. `model_digest` is the digest
    of the bytes that the revision's first pod loaded, empty while unknown.
    """

    digest: str
    number: int
    packed: bytes
    trial: Trial = UNTRIED
    rolled_out: int = 0
    refusal: Refusal | None = None
    model_digest: str = ""

    @property
    def template(self) -> Manifest:
        """A fresh copy of the pod template."""
        value: Manifest = msgspec.json.decode(zlib.decompress(self.packed))
        return value

    @property
    def image(self) -> str:
        """The model-server image of its pods."""
        containers = self.template["spec"]["containers"]
        return next((str(c["image"]) for c in containers if c["name"] == names.CONTAINER), "")

    def changed(self, **changes: Any) -> Revision:
        """Return a copy with the given fields changed."""
        return replace(self, **changes)

    def with_trial(self, **changes: Any) -> Revision:
        """Return a copy with the given fields of its trial changed."""
        return replace(self, trial=msgspec.structs.replace(self.trial, **changes))


def pack(template: Json) -> bytes:
    """Encode a pod template for `Revision.packed`."""
    return zlib.compress(msgspec.json.encode(template))


def last_rolled_out(revisions: Iterable[Revision]) -> Revision | None:
    """Return the revision that was rolled out last, or None if none ever was."""
    found = max(revisions, key=lambda one: one.rolled_out, default=None)
    return found if found is not None and found.rolled_out else None


def previously_rolled_out(revisions: Iterable[Revision]) -> Revision | None:
    """Return the revision that was rolled out before the last one, or None."""
    known = list(revisions)
    last = last_rolled_out(known)
    return last_rolled_out(one for one in known if last is None or one.digest != last.digest)


def read_revision(body: Json) -> Revision | None:
    """Read a revision from its ControllerRevision; None if it is not one of ours."""
    metadata = body["metadata"]
    digest = (metadata.get("labels") or {}).get(names.LABEL_REVISION, "")
    template = ((body.get("data") or {}).get("spec") or {}).get("template")
    if not digest or not isinstance(template, Mapping):
        return None
    notes = metadata.get("annotations") or {}
    return Revision(
        digest=digest,
        number=int(body.get("revision", 0)),
        packed=pack(template),
        trial=_read(notes.get(names.ANNOTATION_ROLLOUT, ""), Trial) or UNTRIED,
        rolled_out=_read(notes.get(names.ANNOTATION_ROLLED_OUT, ""), int) or 0,
        refusal=_read(notes.get(names.ANNOTATION_REFUSED, ""), Refusal),
        model_digest=notes.get(names.ANNOTATION_MODEL_DIGEST, ""),
    )


def _read(text: str, kind: type[Any]) -> Any:
    """Decode an annotation's value; None if it is missing or malformed."""
    try:
        return msgspec.json.decode(text, type=kind) if text else None
    except msgspec.MsgspecError:
        return None


def build_revision(name: str, revision: Revision) -> Manifest:
    """Build a ControllerRevision of InferenceService `name`, without namespace and owner."""
    notes: dict[str, str] = {}
    if revision.trial != UNTRIED:
        notes[names.ANNOTATION_ROLLOUT] = msgspec.json.encode(revision.trial).decode()
    if revision.rolled_out:
        notes[names.ANNOTATION_ROLLED_OUT] = str(revision.rolled_out)
    if revision.refusal is not None:
        notes[names.ANNOTATION_REFUSED] = msgspec.json.encode(revision.refusal).decode()
    if revision.model_digest:
        notes[names.ANNOTATION_MODEL_DIGEST] = revision.model_digest
    metadata: Manifest = {
        "name": names.revision(name, revision.digest),
        "labels": {**names.labels(name), names.LABEL_REVISION: revision.digest},
    }
    if notes:
        metadata["annotations"] = notes
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "revision": revision.number,
        "data": {"spec": {"template": revision.template}},
    }
