"""Certificates, right and wrong, from an authority that only tests trust."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

Kind = Literal["valid", "expired", "not-yet-valid", "wrong-name", "self-signed"]
Status = Literal["good", "revoked"]

_DAY: Final = timedelta(days=1)
_OTHER_NAME: Final = "somebody-else.test"


class Authority:
    """Signs certificates, and writes each with its key and chain into one file.

    Attributes:
        path: the authority's own certificate, for a client's trust store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.path)

    def certificate(self, *names: str, kind: Kind = "valid", days: float = 30.0) -> Path:
        """A certificate for host names and addresses, good for `days` more if it is good at all."""
        now = datetime.now(UTC)
        path = self._folder / f"{kind}-{len(list(self._folder.iterdir()))}.pem"
        match kind:
            case "self-signed":
                path.write_bytes(_self_signed(names[0], now + days * _DAY))
                return path
            case "expired":
                names_there, begin, until = names, now - 60 * _DAY, now - _DAY
            case "not-yet-valid":
                names_there, begin, until = names, now + _DAY, now + 60 * _DAY
            case "wrong-name":
                names_there, begin, until = (_OTHER_NAME,), now - _DAY, now + days * _DAY
            case "valid":
                names_there, begin, until = names, now - _DAY, now + days * _DAY
        leaf = self._authority.issue_cert(*names_there, not_before=begin, not_after=until)
        leaf.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def ocsp_response(self, certificate: Path, status: Status = "good") -> Path:
        """What the authority's OCSP responder says of a certificate, for a server to staple (RFC 6960)."""
        issuer = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes())
        key = load_pem_private_key(self._authority.private_key_pem.bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=x509.load_pem_x509_certificate(certificate.read_bytes()),
                issuer=issuer,
                algorithm=hashes.SHA256(),
                cert_status=ocsp.OCSPCertStatus.GOOD if status == "good" else ocsp.OCSPCertStatus.REVOKED,
                this_update=now - timedelta(hours=1),
                next_update=now + _DAY,
                revocation_time=None if status == "good" else now - _DAY,
                revocation_reason=None if status == "good" else x509.ReasonFlags.key_compromise,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
            .sign(key, hashes.SHA256())
        )
        path = certificate.with_suffix(".ocsp")
        path.write_bytes(response.public_bytes(Encoding.DER))
        return path

    def client(self, *protocols: str) -> ssl.SSLContext:
        """A client's context that trusts this authority and nobody else."""
        context = ssl.create_default_context(cafile=str(self.path))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def _self_signed(name: str, until: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 60 * _DAY)
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
