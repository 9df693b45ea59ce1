"""Puts the compiled library of `native/` into the wheel; without a compiler the wheel has none."""

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = Path("model_server/vision/libresample.so")


class NativeLibrary(BuildHookInterface):
    """Compiles it before the wheel is packed; an editable install has it from `make setup`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles, and makes the wheel one for this platform and any Python 3."""
        if version == "editable":
            return
        root = Path(self.root)
        sys.path.insert(0, str(root / "native"))
        from build import main  # noqa: PLC0415

        target = root / LIBRARY
        main([str(target)])
        if target.exists():
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["artifacts"].append(str(LIBRARY))
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"
