"""Certificates that programs accept: chains, names, uses, and keys nobody else can read."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from local_cluster.pki import create_cluster_pki, write_private

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "new"
    create_cluster_pki(folder, "node-1", ("10.64.7.2", "kubernetes.default.svc"))
    return folder


def certificate(pki: Path, stem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((pki / f"{stem}.crt").read_bytes())


def names(pki: Path, stem: str) -> tuple[str, str]:
    subject = certificate(pki, stem).subject
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    user = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return str(user), str(groups[0].value) if groups else ""


def test_users_and_groups_are_those_that_kubernetes_knows(pki: Path) -> None:
    assert names(pki, "kubelet") == ("system:node:node-1", "system:nodes")
    assert names(pki, "admin") == ("local-cluster-admin", "system:masters")
    for stem in ("kube-scheduler", "kube-controller-manager", "kube-proxy"):
        assert names(pki, stem) == (f"system:{stem}", "")


@pytest.mark.parametrize(
    ("stem", "authority"),
    [("admin", "ca"), ("kubelet", "ca"), ("front-proxy-client", "front-proxy-ca")],
)
def test_clients_are_signed_by_their_authority_and_no_other(
    pki: Path, stem: str, authority: str
) -> None:
    for name in ("ca", "front-proxy-ca"):
        if name == authority:
            certificate(pki, stem).verify_directly_issued_by(certificate(pki, name))
        else:
            with pytest.raises(ValueError, match="subject"):
                certificate(pki, stem).verify_directly_issued_by(certificate(pki, name))


@pytest.mark.parametrize("stem", ["kube-apiserver", "kubelet", "metrics-server", "etcd"])
def test_servers_are_valid_for_every_name_they_are_called_by(pki: Path, stem: str) -> None:
    store = Store([certificate(pki, "ca")])
    subjects: tuple[x509.verification.Subject, ...] = (
        x509.IPAddress(ipaddress.ip_address("10.64.7.2")),
        x509.DNSName("kubernetes.default.svc"),
    )
    for subject in subjects:
        verifier = PolicyBuilder().store(store).build_server_verifier(subject)
        verifier.verify(certificate(pki, stem), [])


def test_clients_cannot_pose_as_servers(pki: Path) -> None:
    usage = certificate(pki, "admin").extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_are_readable_by_their_owner_only_and_fit_their_certificates(pki: Path) -> None:
    assert pki.stat().st_mode & 0o777 == 0o700
    keys = sorted(pki.glob("*.key"))
    assert len(keys) > 10
    for path in keys:
        assert path.stat().st_mode & 0o777 == 0o600
        load_pem_private_key(path.read_bytes(), None)
        if path.with_suffix(".crt").exists():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_cert_chain(path.with_suffix(".crt"), path)


def test_a_private_file_replaces_one_that_others_could_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
