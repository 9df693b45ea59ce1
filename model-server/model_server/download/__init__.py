"""Fetches a model into a folder: `model-server download`, run by the init container.

Everything here treats the address, the other side and what it sends as hostile: addresses are
judged before a connection is made (`addresses`, `connections`), archives are unpacked by our own
rules (`member_names`, `unpacking`), sizes are counted, digests checked, and nothing is visible in
the folder before all of that is done (`destination`). It must not import the server or TensorFlow.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status. `--help` does not load the network libraries."""
    from model_server.download.command import main as run  # noqa: PLC0415 - see above

    return run(argv)
