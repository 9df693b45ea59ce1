"""Fetches a model into a folder: `model-server download`, run by the init container.

Everything here treats the address, the remote server and its responses as hostile: addresses are
checked before connecting (`addresses`, `connections`), archives are unpacked by our own rules
(`member_names`, `unpacking`), sizes are counted and digests verified, and nothing appears in the
folder until all of that has passed (`destination`). This package must not import the server or
TensorFlow.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status. `--help` skips the network libraries."""
    from model_server.download.command import main as run  # noqa: PLC0415 - see above

    return run(argv)
