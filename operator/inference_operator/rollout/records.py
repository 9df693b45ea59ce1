"""What is known of each revision that was ever applied, as a ControllerRevision keeps it.

`data` of a ControllerRevision can never change, so it holds the pod template; how the rollout of
the revision is going stands in annotations. Pure: reads bodies and builds manifests.
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
    """Why a revision was taken back, and when (seconds since 1970)."""

    reason: str
    message: str
    at: int


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the rollout of a revision has come; times are seconds since 1970.

    `attempt` identifies the settings under which it is tried. A stage is a `step`, the `weight` in
    percent and whether it is `paused`; it began at `since`, and at `reached` all its pods
    answered (0: not yet). `scale` is the number of replicas that the stable side had before.
    Until `handover_until` the pods of the canary stay, while the stable side is raised to
    `handover_replicas`.
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

    `number` grows each time another revision becomes the newest. `rolled_out` grows in the order
    in which revisions were rolled out completely; 0 is never. `model_digest` is that of the bytes
    that its first pod loaded, empty while unknown.
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
        """The pod template, a fresh copy."""
        value: Manifest = msgspec.json.decode(zlib.decompress(self.packed))
        return value

    @property
    def image(self) -> str:
        """The model-server image of its pods."""
        containers = self.template["spec"]["containers"]
        return next((str(c["image"]) for c in containers if c["name"] == names.CONTAINER), "")

    def changed(self, **changes: Any) -> Revision:
        """The same with other fields."""
        return replace(self, **changes)

    def with_trial(self, **changes: Any) -> Revision:
        """The same with another trial."""
        return replace(self, trial=msgspec.structs.replace(self.trial, **changes))


def pack(template: Json) -> bytes:
    """A pod template in the form in which a `Revision` keeps it."""
    return zlib.compress(msgspec.json.encode(template))


def last_rolled_out(revisions: Iterable[Revision]) -> Revision | None:
    """The revision that was rolled out last, None when none ever was."""
    found = max(revisions, key=lambda one: one.rolled_out, default=None)
    return found if found is not None and found.rolled_out else None


def previously_rolled_out(revisions: Iterable[Revision]) -> Revision | None:
    """The revision that was rolled out before the last one."""
    known = list(revisions)
    last = last_rolled_out(known)
    return last_rolled_out(one for one in known if last is None or one.digest != last.digest)


def read_revision(body: Json) -> Revision | None:
    """A revision from its ControllerRevision; None when it is not one of ours."""
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
    """An annotation's value; None when it is missing or somebody has damaged it."""
    try:
        return msgspec.json.decode(text, type=kind) if text else None
    except msgspec.MsgspecError:
        return None


def build_revision(name: str, revision: Revision) -> Manifest:
    """The ControllerRevision, without namespace and owner, of the InferenceService `name`."""
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
