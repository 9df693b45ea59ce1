"""Rules of the repository: folders, links, and what no file may name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = {"operator", "crds", "model-server", "deploy", "tests", "docs", ".ci"}
# Spelled in pieces, so that this file does not name them either.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "proxy.golang" + ".org",
    "registry.npmjs" + ".org",
    "deb.debian" + ".org",
]


def tracked() -> list[Path]:
    """Every file that git tracks."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    """Every tracked text file with its content."""
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:4096]:
            found.append((path, data.decode("utf-8", errors="replace")))
    return found


def test_top_level_folders_are_the_agreed_ones() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}
    assert folders == FOLDERS


def test_the_operator_folder_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_no_file_is_large() -> None:
    large = {str(path): path.stat().st_size for path in tracked() if path.stat().st_size > 3 << 20}
    assert not large


def test_no_file_names_a_package_registry() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path, text in texts()
        for host in REGISTRY_HOSTS
        if host in text
    ]
    assert not named


def test_no_file_names_a_path_of_one_machine() -> None:
    pattern = re.compile(r"/(?:work/(?:main|shared)|root/\.|home/\w+/)")
    named = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if (match := pattern.search(text)) and path != Path(__file__)
    ]
    assert not named


DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in tracked()
    if path.suffix == ".md" and "shared" not in path.parts
)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_of_documents_resolve(document: Path) -> None:
    text = (ROOT / document).read_text()
    missing = []
    for path, _, anchor in (
        link.partition("#") for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
    ):
        target = (ROOT / document).parent / path if path else ROOT / document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(f"{path}#{anchor}")
    assert not missing


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for line in re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE):
        targets.update(line.split())
    for document in DOCUMENTS:
        spans = re.findall(r"`make ([a-z-]+)", (ROOT / document).read_text())
        unknown = [name for name in spans if name not in targets]
        assert not unknown, f"{document}: {unknown}"


def test_groups_of_tests_stay_together(tmp_path: Path) -> None:
    """Where pytest and pytest-xdist do not fit, groups are silently ignored (xdist issue 1386)."""
    (tmp_path / "test_two.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_it(number): print()\n"
    )
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-v"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, "-p", "no:cacheprovider", "-c", "/dev/null", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(re.findall("gw[01]. .*PASSED", done.stdout)) == 4
    assert len(set(re.findall("(gw[01]). .*PASSED", done.stdout))) == 1


def nulls(node: object, path: str) -> Iterator[str]:
    """The paths of the keys without a value."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from nulls(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nulls(value, f"{path}[{index}]")
    elif node is None:
        yield path


def test_no_manifest_has_a_key_without_a_value() -> None:
    """`{description: One, two.}` is a description and a key called `two.`; kubectl refuses it."""
    manifests = [path for path in tracked() if path.suffix in {".yaml", ".yml"}]
    folders = [(path, path.relative_to(ROOT).parts) for path in manifests]
    # Templates of a chart are no YAML before they are rendered.
    checked = [p for p, f in folders if f[0] in {"crds", "deploy"} and "templates" not in f]
    assert checked
    for manifest in checked:
        for number, document in enumerate(yaml.safe_load_all(manifest.read_text())):
            where = f"{manifest.relative_to(ROOT)}, document {number}"
            assert not list(nulls(document, "")), where
