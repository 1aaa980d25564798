"""The bed's own certificate authority. Real TLS and real client certificates, valid for a day."""

import datetime as dt
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = dt.timedelta(days=1)
_LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate and of its key."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates into one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("penstock-bed")
        self.ca = folder / "ca.crt"
        authority = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._sign(self._name, self._key, [(authority, True)])
        self.ca.write_bytes(certificate)

    def issue(self, name: str, *organizations: str, hosts: Sequence[str] = _LOCAL) -> Pair:
        """Return a certificate good for a server of these hosts and for the client `name`.

        To the API server the organizations are the groups of the user `name`.
        """
        safe = file_name(name, *organizations)
        pair = Pair(self._folder / f"{safe}.crt", self._folder / f"{safe}.key")
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.ExtendedKeyUsage(usage), False),
            (x509.SubjectAlternativeName([_host(host) for host in hosts]), False),
        ]
        pair.cert.write_bytes(self._sign(_subject(name, *organizations), key, extensions))
        pair.key.write_bytes(_private(key))
        return pair

    def signing_key(self) -> tuple[Path, Path]:
        """Return the files of a private and of a public key, for ServiceAccount tokens."""
        private, public = self._folder / "sa.key", self._folder / "sa.pub"
        key = ec.generate_private_key(ec.SECP256R1())
        private.write_bytes(_private(key))
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return private, public

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
    ) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + _LIFE)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def file_name(*words: str) -> str:
    """Return the words joined, without what a file's name should not have."""
    return re.sub(r"[^\w.-]", "-", "-".join(words))


def _subject(name: str, *organizations: str) -> x509.Name:
    units = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, unit) for unit in organizations]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *units])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
