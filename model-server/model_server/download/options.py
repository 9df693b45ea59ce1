"""The flags of `model-server download` to a frozen value, and nothing else."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_server import termination
from model_server.download.addresses import AddressPolicy, Network, parse_network
from model_server.download.errors import DownloadError
from model_server.download.uri import parse_sha256

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SIZE = re.compile(r"(\d{1,18})([kMG]i?|Ki)?")

_EPILOG = """\
storage URIs:
  https://HOST/PATH                a .tflite, .keras or .h5 file, or a .zip, .tar, .tar.gz or .tgz
  s3://BUCKET/KEY, gs://BUCKET/KEY an object as above, or all objects below a folder
  oci://REGISTRY/REPOSITORY:TAG    an artifact of `oras push`, or an image with /models in it
  pvc://CLAIM/PATH, bundled://NAME nothing to do: mounted, or in the image

A checksum may also end the URI: https://HOST/PATH#sha256=HEX. It is that of the downloaded file,
before it is unpacked; of an OCI artifact's manifest; of a folder, what this prints:
  find . -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum

Where only the digest of the model inside an archive is known, --file-sha256 checks that instead.

environment:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, ...  for s3
  GOOGLE_APPLICATION_CREDENTIALS                                               for gs
  DOCKER_CONFIG                                                                for oci
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE                             for all

What the environment names (a proxy, an endpoint, a server of credentials) must have an address that
is allowed, as the model itself must.

exit status: 0 the model is there, 1 it is not and the termination log says why, 2 wrong flags.
"""


@dataclass(frozen=True)
class Options:
    """What one run was asked to do.

    Attributes:
        sha256: As given; empty for none.
        files: Digest in hex by path in the model's folder, of files that must be there.
        max_bytes: Most bytes to download, and to unpack.
        connect_timeout: Seconds for one connection attempt.
        read_timeout: Seconds without a byte.
        timeout: Seconds for everything, unpacking included.
        attempts: Tries in a row that bring nothing.
        retry_delay: Seconds before the second try.
        instance_credentials: May ask the node's metadata service for credentials.
        plain_http: oci registries speak http.
    """

    uri: str
    dest: Path
    sha256: str
    files: Mapping[str, str]
    max_bytes: int
    policy: AddressPolicy
    connect_timeout: float
    read_timeout: float
    timeout: float
    attempts: int
    retry_delay: float
    instance_credentials: bool
    plain_http: bool
    termination_log: Path


def parse_options(argv: Sequence[str] | None) -> Options:
    """Reads the flags; on a wrong one prints the usage and exits with status 2."""
    given = _parser().parse_args(argv)
    return Options(
        uri=given.uri,
        dest=given.dest,
        sha256=given.sha256,
        files=dict(given.file_sha256),
        max_bytes=given.max_bytes,
        policy=AddressPolicy(given.allow_private_addresses, tuple(given.allow_address)),
        connect_timeout=given.connect_timeout,
        read_timeout=given.read_timeout,
        timeout=given.timeout,
        attempts=given.attempts,
        retry_delay=given.retry_delay,
        instance_credentials=given.instance_credentials,
        plain_http=given.plain_http,
        termination_log=given.termination_log,
    )


def parse_size(text: str) -> int:
    """Bytes of `5000000`, `500M` or `2Gi`.

    Raises:
        ValueError: it is no such size, or 0.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * _UNITS[match[2] or ""] if match else 0
    if size <= 0:
        raise ValueError(text)
    return size


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="model-server download",
        description="Fetches a model into a folder, checked and complete or not at all.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--uri", required=True, help="where the model is; see below")
    add("--dest", required=True, type=Path, metavar="FOLDER", help="folder for the model alone")
    add("--sha256", default="", metavar="HEX", help="checksum that the download must have")
    add(
        "--file-sha256",
        type=_file_digest,
        action="append",
        default=[],
        metavar="PATH=HEX",
        help="checksum of one file of the model, after unpacking; can be repeated",
    )
    add(
        "--max-bytes",
        type=_typed(parse_size, "a size such as 500M or 2Gi"),
        default=10 << 30,
        metavar="N",
        help="largest download, and largest content of an archive (default: 10Gi)",
    )
    add(
        "--allow-private-addresses",
        action="store_true",
        help="allow addresses inside the cluster and the node, metadata services included",
    )
    add(
        "--allow-address",
        type=_typed(parse_network, "a network such as 10.0.0.0/8"),
        action="append",
        default=[],
        metavar="CIDR",
        help="allow one inner network or address; can be repeated",
    )
    add(
        "--instance-credentials",
        action="store_true",
        help="s3, gs: use the identity that the metadata services of the node and the cloud give "
        "(workload identity, pod identity)",
    )
    add("--plain-http", action="store_true", help="oci: the registry has no TLS")
    add(
        "--connect-timeout",
        type=_positive,
        default=10.0,
        metavar="S",
        help="seconds for one connection attempt (default: %(default)g)",
    )
    add(
        "--read-timeout",
        type=_positive,
        default=30.0,
        metavar="S",
        help="seconds without a byte (default: %(default)g)",
    )
    add(
        "--timeout",
        type=_positive,
        default=3600.0,
        metavar="S",
        help="seconds for everything, unpacking included (default: %(default)g)",
    )
    add(
        "--attempts",
        type=_count,
        default=6,
        metavar="N",
        help="tries in a row that bring nothing (default: %(default)d)",
    )
    add(
        "--retry-delay",
        type=_positive,
        default=1.0,
        metavar="S",
        help="seconds before the second try; doubled each time (default: %(default)g)",
    )
    termination.add_flag(parser)
    return parser  # fmt: skip


def _typed(parse: Callable[[str], int | Network], what: str) -> Callable[[str], int | Network]:
    def convert(text: str) -> int | Network:
        try:
            return parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None

    return convert


def _file_digest(text: str) -> tuple[str, str]:
    path, _, digest = text.rpartition("=")
    try:
        checked = parse_sha256(digest, "PATH=HEX")
    except DownloadError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise argparse.ArgumentTypeError(f"{path!r} is not the path of a file of the model")
    return path, checked


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000")
    return int(text)
