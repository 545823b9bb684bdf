"""A certificate authority for one test, and what it signs."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ops.local.child import SystemUser
from ops.local.ports import HOST


class Signed(NamedTuple):
    """A certificate, its key, and both in one file (the key first), all as PEM."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates for HOST; its own is `ca`. The files belong to `owner`, who alone reads keys."""

    def __init__(self, folder: Path, name: str, owner: SystemUser | None = None) -> None:
        self._folder, self._owner = folder, owner
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.ca = folder / f"{name}.pem"
        self._write(self.ca, builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def sign(self, name: str, host: str = HOST) -> Signed:
        """Writes a certificate for this host as NAME.crt and NAME.key, over what is there already."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName("localhost")]
        if host != "localhost":
            names = [x509.IPAddress(ip_address(host))]
        builder = self._builder(subject, key.public_key()).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        cert_text = builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)
        key_text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        signed = Signed(*(self._folder / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        self._write(signed.cert, cert_text)
        self._write(signed.key, key_text)
        self._write(signed.both, key_text + cert_text)
        return signed

    def _builder(self, subject: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def _write(self, file: Path, text: bytes) -> None:
        file.write_bytes(text)
        file.chmod(0o600)
        if self._owner is not None:
            os.chown(file, self._owner.uid, self._owner.gid)
