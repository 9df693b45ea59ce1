"""Client library and command for the model server. Does not import the server.

from inference_client import Client

with Client("http://127.0.0.1:5000") as client:
    result = client.detect("street.jpg")
    for detection in result.detections:
        print(detection.label, detection.score)
"""

from inference_client.client import Client, Picture, Transport
from inference_client.errors import (
    ClientError,
    InvalidAddress,
    RequestRefused,
    ServerBusy,
    ServerFailed,
    ServerTimeout,
    ServerUnreachable,
    UnexpectedAnswer,
    UnreadablePicture,
    UnwritableOutput,
)
from inference_client.results import (
    AnnotatedPicture,
    Box,
    ClassificationResult,
    Detection,
    DetectionResult,
    PictureFormat,
    Prediction,
)

__all__ = [
    "AnnotatedPicture",
    "Box",
    "ClassificationResult",
    "Client",
    "ClientError",
    "Detection",
    "DetectionResult",
    "InvalidAddress",
    "Picture",
    "PictureFormat",
    "Prediction",
    "RequestRefused",
    "ServerBusy",
    "ServerFailed",
    "ServerTimeout",
    "ServerUnreachable",
    "Transport",
    "UnexpectedAnswer",
    "UnreadablePicture",
    "UnwritableOutput",
]
