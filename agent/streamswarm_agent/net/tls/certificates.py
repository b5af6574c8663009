"""What a certificate says, and why one is not trusted."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa


class CertificateFault(StrEnum):
    """What the `certificate_fault` field may hold."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    SELF_SIGNED = "self_signed"
    UNKNOWN_CA = "unknown_ca"
    WEAK = "weak"
    OTHER = "other"


# X509_V_ERR_… of openssl/x509_vfy.h.
_BY_CODE: Final = {
    2: CertificateFault.UNKNOWN_CA,
    9: CertificateFault.NOT_YET_VALID,
    10: CertificateFault.EXPIRED,
    18: CertificateFault.SELF_SIGNED,
    19: CertificateFault.UNKNOWN_CA,
    20: CertificateFault.UNKNOWN_CA,
    21: CertificateFault.UNKNOWN_CA,
    62: CertificateFault.WRONG_NAME,
    64: CertificateFault.WRONG_NAME,
    66: CertificateFault.WEAK,
    67: CertificateFault.WEAK,
    68: CertificateFault.WEAK,
}


def fault_of(error: ssl.SSLCertVerificationError) -> CertificateFault:
    """Sort OpenSSL's verdict into the closed set."""
    return _BY_CODE.get(error.verify_code, CertificateFault.OTHER)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of one certificate.

    Attributes:
        expires: when it stops being valid.
        subject: RFC 4514 text.
        issuer: RFC 4514 text.
        serial: hexadecimal.
        fingerprint: SHA-256 of the whole, hexadecimal.
        key_type: RSA, EC, Ed25519 …
        key_bits: length of the key; None where the kind fixes it.
        signature: algorithm, such as sha256WithRSAEncryption.
        names: alternative names, as text.
        dns_names: those of them that are host names.
    """

    expires: datetime
    subject: str
    issuer: str
    serial: str
    fingerprint: str
    key_type: str
    key_bits: int | None
    signature: str
    names: tuple[str, ...]
    dns_names: tuple[str, ...]

    @classmethod
    def read(cls, der: bytes) -> Self:
        """Read one from DER.

        Raises:
            ValueError: it is none.
        """
        certificate = x509.load_der_x509_certificate(der)
        key_type, key_bits = _key(certificate)
        try:
            alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names: tuple[str, ...] = tuple(str(name.value) for name in alternative)
            dns_names: tuple[str, ...] = tuple(alternative.get_values_for_type(x509.DNSName))
        except x509.ExtensionNotFound:
            names, dns_names = (), ()
        oid = certificate.signature_algorithm_oid
        return cls(
            expires=certificate.not_valid_after_utc,
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial=f"{certificate.serial_number:x}",
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            key_type=key_type,
            key_bits=key_bits,
            signature=oid._name if oid._name != "Unknown OID" else oid.dotted_string,  # noqa: SLF001 - it has no other
            names=names,
            dns_names=dns_names,
        )

    def expires_in(self) -> float:
        """Seconds until it expires, negative if it has."""
        return (self.expires - datetime.now(UTC)).total_seconds()


def read_chain(chain: Sequence[bytes]) -> tuple[Certificate, ...]:
    """The certificates of a chain up to the first that can't be read; the server's own comes first."""
    certificates = []
    for der in chain:
        try:
            certificates.append(Certificate.read(der))
        except (ValueError, UnsupportedAlgorithm):
            break
    return tuple(certificates)


def _key(certificate: x509.Certificate) -> tuple[str, int | None]:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return certificate.public_key_algorithm_oid.dotted_string, None
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return "EC", key.key_size
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
        case _:
            return certificate.public_key_algorithm_oid.dotted_string, None
