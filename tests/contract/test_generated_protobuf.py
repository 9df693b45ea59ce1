"""The protobuf code in the tree is what protoc makes of the .proto beside it.

To make it again: GENERATE=1 python -m pytest tests/contract/test_generated_protobuf.py
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "model-server"
PROTO = "model_server/grpc/open_inference.proto"
GENERATED = ("model_server/grpc/open_inference_pb2.py", "model_server/grpc/open_inference_pb2.pyi")


def test_the_generated_code_is_of_this_proto(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "grpc_tools.protoc", "-I", str(FOLDER)),
            *(f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", PROTO),
        ],
        check=True,
    )
    for name in GENERATED:
        if os.environ.get("GENERATE"):
            shutil.copy(tmp_path / name, FOLDER / name)
        assert (FOLDER / name).read_text() == (tmp_path / name).read_text(), (
            f"{name} is stale: GENERATE=1 python -m pytest {Path(__file__).name}"
        )
