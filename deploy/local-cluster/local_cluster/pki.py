"""The cluster's certificates: one authority for its programs, one for API aggregation.

There are two, because the API server lets holders of the second authority's certificates
impersonate any user. Clusters live for days, so certificates are not rotated. Only the owner can
read keys.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

LIFETIME = datetime.timedelta(days=365)
CLOCK_SKEW = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Subject:
    """The subject of a certificate.

    Attributes:
        name: common name; for a client, its Kubernetes user.
        group: organization; for a client, its Kubernetes group.
        addresses: IP addresses and DNS names that a server answers at.
    """

    name: str
    group: str = ""
    addresses: tuple[str, ...] = ()


def _distinguished_name(subject: Subject) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject.name)]
    if subject.group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.group))
    return x509.Name(attributes)


def _alternative_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, without a moment in which others could."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key as PEM, readable by its owner only."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(path, pem)


def _builder(subject: Subject, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished_name(subject))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _write(
    folder: Path, stem: str, pair: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
) -> KeyPair:
    certificate, key = pair
    paths = folder / f"{stem}.crt", folder / f"{stem}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    write_key(paths[1], key)
    return KeyPair(certificate, key)


def create_authority(folder: Path, stem: str, name: str) -> KeyPair:
    """Create a certificate authority as `STEM.crt` and `STEM.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = Subject(name)
    certificate = (
        _builder(subject, _distinguished_name(subject))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _write(folder, stem, (certificate, key))


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def create_certificate(folder: Path, stem: str, subject: Subject, authority: KeyPair) -> KeyPair:
    """Create a client certificate, which is also a server certificate if it has addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if subject.addresses:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(subject, authority.certificate.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if subject.addresses:
        names = [_alternative_name(address) for address in subject.addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _write(folder, stem, (builder.sign(authority.key, hashes.SHA256()), key))


def create_signing_key(folder: Path, stem: str) -> None:
    """Create the key pair for service account tokens: `STEM.key` and `STEM.pub`."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(folder / f"{stem}.key", key)
    (folder / f"{stem}.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def create_cluster_pki(folder: Path, node_name: str, server_addresses: tuple[str, ...]) -> None:
    """Create all certificates and keys of a cluster.

    Args:
        folder: target folder; created if necessary, accessible to its owner only.
        node_name: name of the node.
        server_addresses: addresses and names of the cluster's servers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority = create_authority(folder, "ca", "local-cluster")
    front_proxy = create_authority(folder, "front-proxy-ca", "local-cluster-front-proxy")
    create_certificate(folder, "front-proxy-client", Subject("front-proxy-client"), front_proxy)
    create_signing_key(folder, "service-accounts")
    subjects = {
        "kube-apiserver": Subject("kube-apiserver", addresses=server_addresses),
        "kubelet-client": Subject("kube-apiserver-kubelet-client", "system:masters"),
        "etcd": Subject("etcd", addresses=server_addresses),
        "admin": Subject("local-cluster-admin", "system:masters"),
        "kube-controller-manager": Subject("system:kube-controller-manager"),
        "kube-scheduler": Subject("system:kube-scheduler"),
        "kube-proxy": Subject("system:kube-proxy"),
        "kubelet": Subject(f"system:node:{node_name}", "system:nodes", server_addresses),
        "load-balancer": Subject("system:load-balancer"),
        "coredns": Subject("system:coredns"),
        "metrics-server": Subject("system:metrics-server", addresses=server_addresses),
    }
    for stem, subject in subjects.items():
        create_certificate(folder, stem, subject, authority)
