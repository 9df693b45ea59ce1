"""What NVIDIA's `tritonclient` gets from a server; run in an environment of its own.

`python triton_calls.py HTTP GRPC PICTURE TENSOR`: addresses as HOST:PORT, an encoded picture, and
a .npy file with a batch for the detector. Prints one JSON object with what every call gave; to
judge that is the test's part. It uses the client's own defaults: binary tensors both ways.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

DETECTOR, CLASSIFIER = "detector", "classifier"


def ask(module: Any, client: Any, picture: bytes, tensor: Any) -> dict[str, Any]:
    """The same calls over either transport."""
    spec = described(client.get_model_metadata(DETECTOR))
    scores = described(client.get_model_metadata(CLASSIFIER))["outputs"][0]["name"]
    whole = module.InferInput(spec["inputs"][0]["name"], list(tensor.shape), "UINT8")
    whole.set_data_from_numpy(tensor)
    encoded = module.InferInput("picture", [1], "BYTES")
    encoded.set_data_from_numpy(np.array([picture], dtype=object))
    names = [output["name"] for output in spec["outputs"]]
    by_tensor = client.infer(DETECTOR, [whole], request_id="by-tensor")
    by_picture = client.infer(
        DETECTOR, [encoded], outputs=[module.InferRequestedOutput(name) for name in names]
    )
    best = client.infer(
        CLASSIFIER, [encoded], outputs=[module.InferRequestedOutput(scores, class_count=3)]
    )
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(DETECTOR, "1"),
        "stranger_ready": stranger_ready(client),
        "server": described(client.get_server_metadata()),
        "model": spec,
        "index": index(client.get_model_repository_index()),
        "id": described(by_tensor.get_response())["id"],
        "by_tensor": outputs(by_tensor, [name for name in names if name != "labels"]),
        "by_picture": outputs(by_picture, names),
        "best": [text.decode() for text in best.as_numpy(scores).ravel()],
        "error": error_of(lambda: client.infer("nobody", [whole])),
        "wrong_type": error_of(lambda: client.infer(DETECTOR, [wrong(module, spec)])),
    }


def stranger_ready(client: Any) -> bool:
    """Whether a model that is not there is ready; over gRPC that question is an error."""
    try:
        return bool(client.is_model_ready("nobody"))
    except InferenceServerException as error:
        if "NOT_FOUND" not in str(error.status()):
            raise
        return False


def wrong(module: Any, spec: dict[str, Any]) -> Any:
    """A tensor of a type that the detector does not take."""
    shape = [int(size) for size in spec["inputs"][0]["shape"]]
    tensor = module.InferInput(spec["inputs"][0]["name"], shape, "FP32")
    tensor.set_data_from_numpy(np.zeros(shape, np.float32))
    return tensor


def described(message: Any) -> dict[str, Any]:
    """A REST answer as it is; a gRPC message as the same dictionary."""
    if isinstance(message, dict):
        return message
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - only for gRPC

    document: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return document


def index(answer: Any) -> list[str]:
    """Names of the repository's models."""
    models = answer if isinstance(answer, list) else described(answer)["models"]
    return [model["name"] for model in models]


def outputs(result: Any, names: list[str]) -> dict[str, Any]:
    """Outputs by name, as lists; BYTES as text."""
    arrays = {name: result.as_numpy(name) for name in names}
    return {
        name: [text.decode() for text in array.ravel()] if array.dtype == object else array.tolist()
        for name, array in arrays.items()
    }


def error_of(call: Any) -> list[str]:
    """Status and message of the error that a call must raise."""
    try:
        call()
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return []


def json_tensors(address: str, tensor: Any) -> dict[str, Any]:
    """The REST client with JSON instead of binary tensors, both ways."""
    client = triton_http.InferenceServerClient(address)
    spec = client.get_model_metadata(DETECTOR)
    whole = triton_http.InferInput(spec["inputs"][0]["name"], list(tensor.shape), "UINT8")
    whole.set_data_from_numpy(tensor, binary_data=False)
    names = [output["name"] for output in spec["outputs"] if output["name"] != "labels"]
    wanted = [triton_http.InferRequestedOutput(name, binary_data=False) for name in names]
    answer = client.infer(DETECTOR, [whole], outputs=wanted)
    gzipped = error_of(
        lambda: client.infer(DETECTOR, [whole], request_compression_algorithm="gzip")
    )
    return {"by_tensor": outputs(answer, names), "gzip": gzipped}


def main(http: str, grpc: str, picture: Path, tensor: Path) -> None:
    """Asks over both transports and prints what came."""
    data, array = picture.read_bytes(), np.load(tensor)
    print(
        json.dumps(
            {
                "http": ask(triton_http, triton_http.InferenceServerClient(http), data, array),
                "grpc": ask(triton_grpc, triton_grpc.InferenceServerClient(grpc), data, array),
                "json": json_tensors(http, array),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
