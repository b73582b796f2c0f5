"""Cryptography: authenticated encryption, RSA, and a certificate that is signed and verified."""

import datetime
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.x509.oid import NameOID
from symphony_sdk import Context, operator, provides_operators

THEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@operator("acme.cryptography.work")
def work(ctx: Context) -> dict[str, str]:
    """Encrypt and decrypt, sign and verify; what was changed is noticed."""
    key = Scrypt(salt=b"salt" * 4, length=32, n=2**14, r=8, p=1).derive(b"password")
    sealed = AESGCM(key).encrypt(b"n" * 12, b"text" * 10_000, b"header")
    opened = AESGCM(key).decrypt(b"n" * 12, sealed, b"header")
    private = rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    signature = private.sign(opened, pss, hashes.SHA256())
    private.public_key().verify(signature, opened, pss, hashes.SHA256())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(42)
        .not_valid_before(THEN)
        .not_valid_after(THEN + datetime.timedelta(days=3650))
        .sign(private, hashes.SHA256())
    )
    read = x509.load_pem_x509_certificate(certificate.public_bytes(serialization.Encoding.PEM))
    read.verify_directly_issued_by(certificate)
    noticed = []
    try:
        AESGCM(key).decrypt(b"n" * 12, sealed[:-1] + b"x", b"header")
    except InvalidTag:
        noticed.append("tag")
    try:
        private.public_key().verify(signature, opened + b"x", pss, hashes.SHA256())
    except InvalidSignature:
        noticed.append("signature")
    return {
        "sealed": hashlib.sha256(sealed).hexdigest(),
        "certificate": read.subject.rfc4514_string(),
        "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(key).sign(b"text").hex(),
        "noticed": ", ".join(noticed),
    }


@provides_operators
def symphony_operators():
    yield work
