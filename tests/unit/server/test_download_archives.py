"""Archives from people nobody knows: what is unpacked, and what must not be.

The nasty ones are made here, byte by byte where the libraries would not make them.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_server.download import tar_archive, unpacking, zip_archive
from model_server.download.archives import unpack
from model_server.download.errors import (
    DownloadError,
    ModelTooLarge,
    NoSpace,
    UnsafeArchive,
)
from model_server.download.fetch import no_space
from model_server.download.member_names import Names, check_name

PLENTY = 1 << 30
Member = tuple[str, bytes]


def make_zip(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def make_tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def make_tgz(*members: Member) -> bytes:
    return gzip.compress(make_tar(*members))


MAKERS: dict[str, Callable[..., bytes]] = {"zip": make_zip, "tar": make_tar, "tar.gz": make_tgz}


def unpack_bytes(
    data: bytes, kind: str, folder: Path, max_bytes: int = PLENTY, keep: str = ""
) -> dict[str, bytes]:
    """Unpacks into a fresh folder and returns every file below it."""
    archive = folder / f"archive.{kind}"
    archive.write_bytes(data)
    target = folder / "content"
    unpack(archive, target, kind, max_bytes, keep)
    return {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }


def refuse(data: bytes, kind: str, folder: Path, complaint: str) -> None:
    """The archive is refused for that reason, and nothing is written outside its folder."""
    outside = set(folder.rglob("*"))
    with pytest.raises(UnsafeArchive, match=complaint):
        unpack_bytes(data, kind, folder)
    written = {path.relative_to(folder).parts[0] for path in set(folder.rglob("*")) - outside}
    assert written <= {f"archive.{kind}", "content"}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_models_folder_is_kept_as_it_is(kind: str, tmp_path: Path) -> None:
    members = [
        ("model.savedmodel/saved_model.pb", b"pb"),
        ("model.savedmodel/variables/variables.index", b""),
        ("./labels.txt", b"cat\ndog\n"),
        ("h\N{LATIN SMALL LETTER E WITH ACUTE} .txt", b"x" * 3000),
    ]
    assert unpack_bytes(MAKERS[kind](*members), kind, tmp_path) == {
        name.removeprefix("./"): content for name, content in members
    }


@pytest.mark.parametrize("kind", MAKERS)
def test_modes_are_ours(kind: str, tmp_path: Path) -> None:
    unpack_bytes(MAKERS[kind](("folder/model.tflite", b"x")), kind, tmp_path)
    mode = (tmp_path / "content/folder/model.tflite").stat().st_mode
    assert stat.S_IMODE(mode) & ~0o644 == 0
    assert stat.S_IMODE((tmp_path / "content/folder").stat().st_mode) & ~0o755 == 0


@pytest.mark.parametrize("kind", MAKERS)
def test_what_macos_adds_is_left_out(kind: str, tmp_path: Path) -> None:
    members = [("m/a.tflite", b"x"), ("m/._a.tflite", b"y"), ("m/.DS_Store", b"z")]
    if kind == "zip":
        members.append(("__MACOSX/m/._a.tflite", b"y"))
    assert unpack_bytes(MAKERS[kind](*members), kind, tmp_path) == {"m/a.tflite": b"x"}


NASTY_NAMES = [
    ("/etc/passwd", "not a relative path"),
    ("../evil", "leads out of its folder"),
    ("a/../../evil", "leads out of its folder"),
    ("a/..", "leads out of its folder"),
    ("..", "leads out of its folder"),
    ("a\\..\\evil", "not a relative path"),
    ("C:/evil", "not a relative path"),
    ("a\nb", "control characters"),
    ("a\x1b[31mb", "control characters"),
    ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "control characters"),
    ("x" * 300, "a part longer than"),
    ("/".join(["x" * 90] * 15), "is longer than"),
    ("/".join(["x"] * 40), "folders deep"),
]


@pytest.mark.parametrize(("name", "complaint"), NASTY_NAMES)
@pytest.mark.parametrize("kind", MAKERS)
def test_nasty_names(kind: str, name: str, complaint: str, tmp_path: Path) -> None:
    refuse(MAKERS[kind]((name, b"x")), kind, tmp_path, complaint)


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("a", "./a"),
        ("a", "A"),
        ("m/\N{LATIN SMALL LETTER E WITH ACUTE}", "m/e\N{COMBINING ACUTE ACCENT}"),
        ("stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE"),
    ],
)
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice(kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    members = [(name, b"x") for name in names]
    refuse(MAKERS[kind](*members), kind, tmp_path, "is in it twice")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("A", "a/b")])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_where_a_folder_is(kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    members = [(name, b"x") for name in names]
    refuse(MAKERS[kind](*members), kind, tmp_path, "twice|both a file and a folder")


def tar_of(*headers: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for header in headers:
            archive.addfile(header, io.BytesIO(b"\0" * header.size))
    return buffer.getvalue()


def header(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (header("a", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (header("a", tarfile.SYMTYPE, "b"), "is a link"),
        (header("a", tarfile.LNKTYPE, "../../etc/passwd"), "is a link"),
        (header("a", tarfile.CHRTYPE), "neither a file nor a folder"),
        (header("a", tarfile.BLKTYPE), "neither a file nor a folder"),
        (header("a", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (header("../a", tarfile.DIRTYPE), "leads out of its folder"),
        (header("a", b"Z"), "neither a file nor a folder|damaged"),
    ],
)
def test_tar_members_that_are_no_files(
    made: tarfile.TarInfo, complaint: str, tmp_path: Path
) -> None:
    refuse(tar_of(made), "tar", tmp_path, complaint)


def test_a_link_and_then_a_file_through_it(tmp_path: Path) -> None:
    data = tar_of(header("a", tarfile.SYMTYPE, str(tmp_path)), header("a/evil", tarfile.REGTYPE))
    refuse(data, "tar", tmp_path, "is a link")
    assert not (tmp_path / "evil").exists()


def test_a_sparse_file(tmp_path: Path) -> None:
    made = header("a", tarfile.REGTYPE)
    made.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 40)}
    made.size = 1
    refuse(tar_of(made), "tar", tmp_path, "is a sparse file")


def raw_header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header as bytes, with a right checksum whatever is in it."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:265] = b"ustar\00000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_a_negative_size_does_not_turn_the_parser_back(tmp_path: Path) -> None:
    backwards = b"\xff" * 10 + b"\xfe\x00"  # base 256: -512
    refuse(raw_header(b"a", backwards) * 3, "tar", tmp_path, "negative size")


def test_a_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    huge = b"%011o\0" % (8 << 30)
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        folder = tmp_path / kind.decode()
        folder.mkdir()
        refuse(raw_header(b"a", huge, kind) + b"x" * 2048, "tar", folder, "header is larger")


def test_endless_headers(tmp_path: Path) -> None:
    block = raw_header(b"g", b"%011o\0" % 0, tarfile.XGLTYPE)
    refuse(block * 20_000, "tar", tmp_path, "more in it than its files|damaged")


def test_a_truncated_tar_is_told(tmp_path: Path) -> None:
    whole = make_tar(("a", b"x" * 2000), ("b", b"y" * 2000))
    for size in (100, 700, 1500, 3000, 3500):
        folder = tmp_path / str(size)
        folder.mkdir()
        refuse(whole[:size], "tar", folder, "damaged|unexpected end|has .* bytes")


def test_a_damaged_second_header_is_not_the_end(tmp_path: Path) -> None:
    whole = bytearray(make_tar(("a", b"x"), ("b", b"y")))
    whole[1024 + 150] ^= 0xFF
    refuse(bytes(whole), "tar", tmp_path, "damaged")


def test_a_python_that_does_not_call_our_checks_unpacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python 3.13.5 did, whose `tarfile` calls another method than the one we overrode."""
    monkeypatch.setattr(tar_archive, "_Header", tarfile.TarInfo)
    refuse(make_tar(("a", b"x")), "tar", tmp_path, "cannot be checked with this version of Python")


def test_a_gzip_with_a_wrong_checksum_is_told(tmp_path: Path) -> None:
    whole = bytearray(make_tgz(("a", b"x" * 100)))
    whole[-8] ^= 0xFF
    refuse(bytes(whole), "tar.gz", tmp_path, "damaged")
    folder = tmp_path / "short"
    folder.mkdir()
    refuse(bytes(whole[:-12]), "tar.gz", folder, "damaged")


def test_a_zip_with_a_link(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refuse(buffer.getvalue(), "zip", tmp_path, "is a link")


def test_a_zip_with_a_device(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.external_attr = (stat.S_IFCHR | 0o777) << 16
        archive.writestr(info, "")
    refuse(buffer.getvalue(), "zip", tmp_path, "neither a file nor a folder")


def test_an_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(make_zip(("a", b"x")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    refuse(bytes(data), "zip", tmp_path, "is encrypted")


def test_an_uncommon_compression(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x" * 100)
    refuse(buffer.getvalue(), "zip", tmp_path, "uncommon way")


def test_a_zip_whose_names_differ_inside(tmp_path: Path) -> None:
    data = make_zip(("good.tflite", b"x")).replace(b"good.tflite", b"evil.tflite", 1)
    refuse(data, "zip", tmp_path, "damaged")


def test_a_zip_name_with_a_zero_byte(tmp_path: Path) -> None:
    data = make_zip(("aXb", b"x")).replace(b"aXb", b"a\0b")
    refuse(data, "zip", tmp_path, "control characters")


def test_a_zip_with_a_wrong_checksum(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"the content")
    refuse(buffer.getvalue().replace(b"the content", b"another one"), "zip", tmp_path, "damaged")


def test_a_list_of_files_that_would_fill_the_memory(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 1 << 30, 0, 0)
    refuse(end, "zip", tmp_path, "list of files is larger")


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("data", [b"", b"hello", b"\x1f\x8b", b"PK\x05\x06", b"\x00" * 100])
def test_what_is_no_archive(kind: str, data: bytes, tmp_path: Path) -> None:
    refuse(data, kind, tmp_path, "damaged or not an archive")


@pytest.mark.parametrize("kind", MAKERS)
def test_more_than_is_allowed(kind: str, tmp_path: Path) -> None:
    data = MAKERS[kind](("a", b"x" * 600), ("b", b"x" * 600))
    with pytest.raises(ModelTooLarge, match=r"more than the 1.0 kB that are allowed"):
        unpack_bytes(data, kind, tmp_path, max_bytes=1000)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "RATIO_FREE_BYTES", 1 << 20)
    data = MAKERS[kind](("a", b"\0" * (4 << 20)))
    assert len(data) * unpacking.MAX_RATIO < 4 << 20
    refuse(data, kind, tmp_path, "decompression bomb")
    assert (tmp_path / "content/a").stat().st_size <= 2 << 20


def test_a_zip_whose_members_share_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bomb that needs no great ratio in any member: a hundred names for the same bytes."""
    monkeypatch.setattr(unpacking, "RATIO_FREE_BYTES", 1 << 20)
    kernel = b"\0" * (1 << 20)
    data = make_zip(("a", kernel))
    start = data.index(b"PK\x01\x02")
    entry = data[start : data.index(b"PK\x05\x06")]
    entries = entry * 50
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 50, 50, len(entries), start, 0)
    refuse(data[:start] + entries + end, "zip", tmp_path, "twice|decompression bomb|damaged")


@pytest.mark.parametrize("kind", MAKERS)
def test_too_many_members(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 10)
    refuse(MAKERS[kind](*((str(n), b"") for n in range(11))), kind, tmp_path, "more than 10 files")


def test_only_a_part_is_kept(tmp_path: Path) -> None:
    """A layer of an image has links and devices elsewhere; they are not our concern."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(header("bin", tarfile.SYMTYPE, "usr/bin"))
        archive.addfile(header("../evil", tarfile.REGTYPE))
        for name, content in (("models/1/a.tflite", b"x"), ("modelsx/b.tflite", b"y")):
            made = tarfile.TarInfo(name)
            made.size = len(content)
            archive.addfile(made, io.BytesIO(content))
    assert unpack_bytes(buffer.getvalue(), "tar", tmp_path, keep="models") == {"1/a.tflite": b"x"}
    folder = tmp_path / "again"
    folder.mkdir()
    link = tar_of(header("models/a", tarfile.SYMTYPE, "/etc/passwd"))
    with pytest.raises(UnsafeArchive, match="is a link"):
        unpack_bytes(link, "tar", folder, keep="models")


def test_a_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(FileExistsError):
        unpacking.create(tmp_path / "link")
    assert victim.read_bytes() == b"mine"


def test_a_full_volume() -> None:
    full = Path("/dev/full")
    with (
        pytest.raises(NoSpace, match="the volume of /dev is full"),
        no_space(full),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_an_unwritable_volume(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(DownloadError, match=r"cannot write .*: Not a directory"),
        no_space(tmp_path),
    ):
        (tmp_path / "file" / "x").write_bytes(b"")


SAFE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
PARTS = st.sampled_from(["..", ".", "", "a", "B", "b", "\\", "/", "~", "x" * 260, "\0", "C:", "é"])
NAMES = SAFE | st.lists(PARTS, min_size=1, max_size=6).map("/".join)


@given(NAMES)
def test_any_name_stays_inside_or_is_refused(name: str) -> None:
    with contextlib.suppress(UnsafeArchive):
        parts = check_name(name)
        assert ".." not in parts
        inside = os.path.normpath(os.path.join("/top", *parts))  # noqa: PTH118 - as text
        assert inside == "/top" or inside.startswith("/top/")


@given(st.lists(NAMES, max_size=8))
def test_names_that_pass_are_distinct_everywhere(names: list[str]) -> None:
    seen = Names()
    accepted: list[tuple[str, ...]] = []
    for name in names:
        with contextlib.suppress(UnsafeArchive):
            parts = check_name(name)
            if parts:
                seen.add_file(parts)
                accepted.append(tuple(part.casefold() for part in parts))
    for one in accepted:
        assert sum(one == other[: len(one)] for other in accepted) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    kind=st.sampled_from(sorted(MAKERS)),
    members=st.lists(st.tuples(NAMES, st.binary(max_size=600)), max_size=4),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_archive_is_unpacked_inside_or_refused(
    kind: str,
    members: list[Member],
    flips: list[tuple[int, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        data = bytearray(MAKERS[kind](*members))
    except (ValueError, UnicodeError):  # the library makes no archive of these names
        return
    for position, value in flips:
        data[position % len(data)] = value
    with contextlib.suppress(DownloadError):
        unpack_bytes(bytes(data), kind, folder)
    assert {path.name for path in folder.iterdir()} <= {f"archive.{kind}", "content"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_the_limits_leave_room_for_real_models() -> None:
    assert unpacking.MAX_MEMBERS >= 10_000
    assert unpacking.RATIO_FREE_BYTES >= 50 << 20
    assert zip_archive.MAX_DIRECTORY_BYTES >= unpacking.MAX_MEMBERS * 500
    assert tar_archive.MAX_HEADER_BYTES >= 1 << 16


def pax_record(key: str, value: str) -> bytes:
    """`LENGTH KEY=VALUE` with the length that includes itself."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def tar_with_header(content: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    header = tarfile.TarInfo("pax")
    header.type, header.size = kind, len(content)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + padding + make_tar(("m", b"x"))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE])
@pytest.mark.parametrize(
    "content",
    [
        b"1" * (1 << 20),
        pax_record("comment", "1" * 1000),
        pax_record("path", "a") + b"9" * 101,
        b"2 " * 1000 + b"=",
        b"30 a=b",
        b"0 a=b\n",
        b"5 abc\n",
        b"x a=b\n",
        b"-1 a=b\n",
        b"\xff\xfe",
        b"99999999999 a=b\n",
    ],
)
def test_an_extended_header_that_keeps_the_parser_busy_is_refused(
    content: bytes, kind: bytes, tmp_path: Path
) -> None:
    """CVE-2024-6232 and its kind: nothing of it gets to the parser's expressions."""
    refuse(tar_with_header(content, kind), "tar", tmp_path, "header")


@given(st.binary(max_size=300) | st.from_regex(rb"(\d{1,3} [a-z=\d ]{0,9}\n?){0,20}"))
def test_a_header_that_passes_has_records_that_do_not_overlap(content: bytes) -> None:
    with contextlib.suppress(UnsafeArchive):
        tar_archive.check_pax(content)
        text = content.partition(b"\0")[0]
        while text:
            length = int(text.partition(b" ")[0])
            assert text[length - 1 : length] == b"\n"
            text = text[length:]


def test_an_ordinary_extended_header_is_read(tmp_path: Path) -> None:
    long = "folder/" + "n" * 150 + ".txt"
    notes = pax_record("comment", "SHA256 " + "ab" * 32) + pax_record("mtime", "1700000000.123456")
    member = make_tar((long, b"x"), ("ü.txt", b"y"))
    assert unpack_bytes(tar_with_header(notes)[: -len(make_tar(("m", b"x")))] + member, "tar",
                        tmp_path) == {long: b"x", "ü.txt": b"y"}  # fmt: skip
