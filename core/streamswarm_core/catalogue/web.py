from typing import Final

from streamswarm_core.catalogue.common import probe_measurement
from streamswarm_core.catalogue.model import COUNT, SECONDS, STATE, TEXT, Field, Kind

TLS: Final = probe_measurement(
    "tls",
    "One TLS handshake, and the certificate that came with it.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("connect", SECONDS, "TCP connection set-up.", worse="up"),
    Field("starttls", SECONDS, "From connected until the server is ready for TLS; absent if not used.", worse="up"),
    Field("handshake", SECONDS, "TLS handshake.", worse="up", feature=True),
    Field("version", TEXT, "Version that was agreed on, such as TLS 1.3.", kind=Kind.STRING),
    Field("cipher", TEXT, "Cipher suite, by OpenSSL's name.", kind=Kind.STRING),
    Field("cipher_strength", COUNT, "Secret bits of the cipher.", kind=Kind.INTEGER, worse="down"),
    Field("alpn", TEXT, "Protocol that the server chose by ALPN.", kind=Kind.STRING),
    Field("verified", STATE, "1 if the certificate was verified.", kind=Kind.INTEGER, worse="down"),
    Field("certificate_fault", TEXT, "Why it could not be verified, one word of a closed set.", kind=Kind.STRING),
    Field("expires_in", SECONDS, "Time until the server's certificate expires, negative if it has.", worse="down"),
    Field("chain_expires_in", SECONDS, "Time until the first certificate of the chain expires.", worse="down"),
    Field("chain_length", COUNT, "Certificates that the server sent.", kind=Kind.INTEGER),
    Field("key_type", TEXT, "Kind of the certificate's key, such as RSA, EC or Ed25519.", kind=Kind.STRING),
    Field("key_size", COUNT, "Bits of the certificate's key.", kind=Kind.INTEGER),
    Field("signature", TEXT, "Algorithm of the certificate's signature.", kind=Kind.STRING),
    Field("names", COUNT, "Alternative names in the certificate.", kind=Kind.INTEGER),
    Field("subject", TEXT, "Whom the certificate is for (RFC 4514).", kind=Kind.STRING),
    Field("issuer", TEXT, "Who signed it (RFC 4514).", kind=Kind.STRING),
    Field("serial", TEXT, "Its serial number, hexadecimal.", kind=Kind.STRING),
    Field("ocsp_stapled", STATE, "1 if an OCSP response was stapled; absent unless asked for.", kind=Kind.INTEGER),
    Field("ocsp_status", TEXT, "What it says: good, revoked, unknown, or that it is not valid now.", kind=Kind.STRING),
    Field("resumed", STATE, "1 if the server resumed a session; absent unless asked for.", kind=Kind.INTEGER),
    tags=("family",),
)

WEB: Final = (TLS,)
