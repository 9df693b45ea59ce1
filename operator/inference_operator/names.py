"""All names, labels, ports and annotations that the operator writes or reads.

No other module spells them out: a label with two spellings would lose objects in silence. Pure.
"""

from __future__ import annotations

import hashlib

GROUP = "inference-operator.dev"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "InferenceService"
PLURAL = "inferenceservices"

FIELD_MANAGER = "inference-operator"
HANDOVER_MANAGER = "inference-operator-handover"

LABEL_SERVICE = f"{GROUP}/inferenceservice"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "inference-operator"
PREDICTOR = "predictor"
# Component of the pods that run a revision beside the one that is rolled out.
CANARY = "predictor-canary"

ANNOTATION_APPLIED = f"{GROUP}/applied"
# On an object of somebody else: the InferenceService of this name may take it over.
ANNOTATION_ADOPT = f"{GROUP}/adopt"
# On ControllerRevisions, by the operator.
ANNOTATION_ROLLOUT = f"{GROUP}/rollout"
ANNOTATION_ROLLED_OUT = f"{GROUP}/rolled-out"
ANNOTATION_REFUSED = f"{GROUP}/refused"
ANNOTATION_MODEL_DIGEST = f"{GROUP}/model-digest"
# On InferenceServices, by users. Each of the first two names the revision it is about.
ANNOTATION_PROMOTE = f"{GROUP}/promote"
ANNOTATION_ABORT = f"{GROUP}/abort"
ANNOTATION_RETRY = f"{GROUP}/retry"
ROLLOUT_ANNOTATIONS = (ANNOTATION_PROMOTE, ANNOTATION_ABORT, ANNOTATION_RETRY)

CONTAINER = "model-server"
INIT_CONTAINER = "storage-initializer"
PORT_NAME = "http"
PORT = 5000
SERVICE_PORT = 80
MODEL_VOLUME = "model"
MODEL_PATH = "/mnt/models"
GOLDEN_VOLUME = "golden"
GOLDEN_PATH = "/mnt/golden"

_LONGEST_SERVICE_NAME = 63

LEASE = "inference-operator"


def predictor(name: str) -> str:
    """Name of the predictor's Deployment, Service, HPA and PDB."""
    return f"{name}-predictor"


def canary(name: str) -> str:
    """Name of the canary's Deployment, Service and HPA.

    A Service's name has 63 characters at most, so a long name is shortened and made unique by a
    digest of itself.
    """
    whole = f"{predictor(name)}-canary"
    if len(whole) <= _LONGEST_SERVICE_NAME:
        return whole
    suffix = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}-canary"
    return name[: _LONGEST_SERVICE_NAME - len(suffix)] + suffix


def is_child_name(service: str, name: str) -> bool:
    """Whether `name` is one that a child of the InferenceService `service` can have."""
    own = {predictor(service), canary(service)}
    return name in own or name.startswith(f"{predictor(service)}-")


def revision(name: str, digest: str) -> str:
    """Name of one revision of the InferenceService `name`."""
    return f"{predictor(name)}-{digest}"


def selector(name: str, component: str = PREDICTOR) -> dict[str, str]:
    """Labels that select the pods of one Deployment of `name`.

    A Deployment's selector is immutable, so only labels that never change belong here.
    """
    return {LABEL_SERVICE: name, LABEL_COMPONENT: component}


def shared_selector(name: str) -> dict[str, str]:
    """Labels that select the pods of `name`, those of a canary included."""
    return {LABEL_SERVICE: name, LABEL_NAME: CONTAINER}


def labels(name: str, component: str = PREDICTOR) -> dict[str, str]:
    """Labels of all children and pods of `name`."""
    return {
        LABEL_NAME: CONTAINER,
        LABEL_INSTANCE: name,
        LABEL_COMPONENT: component,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_SERVICE: name,
    }
