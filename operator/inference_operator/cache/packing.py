"""Bodies of InferenceServices, packed small: a thousand of them must fit in a megabyte.

Every body has the same field names and mostly the same words, so zlib is given them beforehand.
The dictionary is part of nothing that is stored or sent, so it may change at any time. Pure.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from inference_operator.objects import Json

# The most frequent last, where zlib finds it at the least cost.
_WORDS = (
    b'"latestReadyRevision":"","latestRolledoutRevision":"","previousRolledoutRevision":"",'
    b'"lastFailureInfo":{"exitCode":1,"location":"","message":"pod ","modelRevisionName":"",'
    b'"reason":"ImagePullBackOff","CrashLoopBackOff","Unschedulable","DownloadFailed","time":"202'
    b'"modelFormat":{"name":"tflite"},"storageUri":"https://","sha256":"","resources":{"limits":{'
    b'"cpu":"","memory":""},"requests":{"cpu":"500m","memory":"1Gi"}},"env":[{"name":"","value":""'
    b"bundled://classifier, waiting for a pod to be scheduled, no nodes available to schedule pods,"
    b"the model server is starting and loads the model, RollingOut, keeps serving"
    b'{"metadata":{"name":"","namespace":"default","uid":"","generation":1},"spec":{"predictor":'
    b'{"minReplicas":1,"maxReplicas":3,"model":{}},"service":{"type":"ClusterIP"}},"status":{'
    b'"address":{"url":"http://-predictor..svc.cluster.local"},"components":{"predictor":{"image":'
    b'"inference-operator.dev/model-server:","latestCreatedRevision":"-predictor-","traffic":[{'
    b'"latestRevision":true,"percent":100,"revisionName":"-predictor-"}],"url":"http://-predictor."'
    b'}},"conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"","observedGeneration"'
    b':1,"reason":"Pending","status":"True","type":"Ready"},{"lastTransitionTime":"2026-01-01T00:00'
    b':00Z","observedGeneration":1,"status":"False","type":"PredictorReady"},{"status":"Unknown",'
    b'"type":"LatestDeploymentReady"}],"modelStatus":{"copies":{"failedCopies":0,"totalCopies":1},'
    b'"source":"bundled://detector","states":{"activeModelState":"Loaded","targetModelState":'
    b'"Loaded"},"transitionStatus":"UpToDate"},"observedGeneration":1,"replicas":1,"selector":'
    b'"inference-operator.dev/inferenceservice=,app.kubernetes.io/component=predictor","url":"http://'
)


# Raw deflate with small tables: a body is small, and thousands are packed in a row.
_WINDOW_BITS = -12
_MEMORY_LEVEL = 5
_LEVEL = 3


def pack(value: Json) -> bytes:
    """A JSON value in as few bytes as is quick; never empty."""
    text = msgspec.json.encode(value)
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zdict=_WORDS)
    return packer.compress(text) + packer.flush()


def unpack(packed: bytes) -> dict[str, Any]:
    """What `pack` was given.

    Raises:
        zlib.error: it was not packed by `pack` of this process.
    """
    text = zlib.decompressobj(_WINDOW_BITS, zdict=_WORDS).decompress(packed)
    value: dict[str, Any] = msgspec.json.decode(text)
    return value
