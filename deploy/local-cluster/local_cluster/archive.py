"""Packs the pause image without an image tool: one static program in one layer. Pure.

The format is that of `docker save` (manifest.json, configuration, layer; Docker image specification
v1.2), which containerd imports.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A reproducible tar archive of files, each given as content and mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def single_program_image(program: bytes, reference: str) -> bytes:
    """An image archive that runs one static program as an unprivileged user.

    Args:
        program: content of the executable.
        reference: reference of the image.
    """
    layer = _tar({"program": (program, 0o555)})
    configuration = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": ["/program"], "User": "65535:65535"},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "manifest.json": (json.dumps(manifest).encode(), 0o444),
            name: (configuration, 0o444),
            "layer.tar": (layer, 0o444),
        }
    )
