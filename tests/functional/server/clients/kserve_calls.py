"""What the inference clients of KServe's SDK get from a server; run in an environment of its own.

`python kserve_calls.py HTTP GRPC PICTURE TENSOR`: addresses as HOST:PORT, an encoded picture, and
a .npy file with a batch for the detector. Prints one JSON object with what every call gave; to
judge that is the test's part.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import httpx  # type: ignore[import-not-found]  # of the SDK's own environment
import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)

DETECTOR, CLASSIFIER = "detector", "classifier"


async def v1(base: str, picture: bytes, tensor: Any) -> dict[str, Any]:
    """The V1 protocol: an encoded picture and a tensor as instances."""
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        encoded = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
        return {
            "live": await client.is_server_live(base),
            "model_ready": await client.is_model_ready(base, DETECTOR),
            "detections": await client.infer(base, encoded, model_name=DETECTOR),
            "classes": await client.infer(base, encoded, model_name=CLASSIFIER),
            "by_tensor": await client.infer(
                base, {"instances": tensor.tolist()}, model_name=DETECTOR
            ),
            "error": await error_of(client.infer(base, encoded, model_name="nobody")),
        }


async def v2(base: str, picture: bytes, tensor: Any, *, binary: bool) -> dict[str, Any]:
    """The V2 protocol over REST, with JSON or binary tensors."""
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        request = tensor_request(tensor, binary=binary)
        by_picture = picture_request(picture, binary=binary)
        answer = await client.infer(base, request, model_name=DETECTOR)
        seen = await client.infer(base, by_picture, model_name=DETECTOR)
        return {
            "live": await client.is_server_live(base),
            "ready": await client.is_server_ready(base),
            "model_ready": await client.is_model_ready(base, DETECTOR),
            "stranger_ready": await client.is_model_ready(base, "nobody"),
            "id": answer.id,
            "by_tensor": outputs(answer),
            "by_picture": outputs(seen),
            "error": await error_of(client.infer(base, request, model_name="nobody")),
        }


async def over_grpc(address: str, picture: bytes, tensor: Any) -> dict[str, Any]:
    """The V2 protocol over gRPC."""
    async with InferenceGRPCClient(address) as client:
        answer = await client.infer(tensor_request(tensor, binary=True))
        seen = await client.infer(picture_request(picture, binary=True))
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready(DETECTOR),
            "id": answer.id,
            "by_tensor": outputs(answer),
            "by_picture": outputs(seen),
            "error": await error_of(client.is_model_ready("nobody")),
        }


def tensor_request(tensor: Any, *, binary: bool) -> InferRequest:
    """A batch for the detector."""
    item = InferInput("image", list(tensor.shape), "UINT8")
    item.set_data_from_numpy(tensor, binary_data=binary)
    return InferRequest(DETECTOR, [item], request_id="by-tensor")


def picture_request(picture: bytes, *, binary: bool) -> InferRequest:
    """An encoded picture for the detector; in JSON it travels as base64."""
    data = picture if binary else base64.b64encode(picture)
    item = InferInput("picture", [1], "BYTES")
    item.set_data_from_numpy(np.array([data], dtype=object), binary_data=binary)
    return InferRequest(DETECTOR, [item], request_id="by-picture")


def outputs(answer: Any) -> dict[str, Any]:
    """Outputs by name, as lists; BYTES as text."""
    found: dict[str, Any] = {}
    for output in answer.outputs:
        array = output.as_numpy()
        texts = array.dtype.kind in "OSU"
        found[output.name] = [text_of(item) for item in array.ravel()] if texts else array.tolist()
    return found


def text_of(item: Any) -> str:
    return item.decode() if isinstance(item, bytes) else str(item)


async def error_of(call: Any) -> str:
    """The error that a call must raise."""
    try:
        await call
    except httpx.HTTPStatusError as error:
        return str(error)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return ""


async def main(http: str, grpc_address: str, picture: Path, tensor: Path) -> None:
    """Asks in every way and prints what came."""
    data, array, base = picture.read_bytes(), np.load(tensor), f"http://{http}"
    print(
        json.dumps(
            {
                "v1": await v1(base, data, array),
                "json": await v2(base, data, array, binary=False),
                "binary": await v2(base, data, array, binary=True),
                "grpc": await over_grpc(grpc_address, data, array),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
