"""Make and check X.509 certificates for TLS: the operator's own authority, and server certificates."""

import datetime
import ipaddress
from collections.abc import Collection
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import ConfigError
from shared.ops.flaws import Flaw

SOON = datetime.timedelta(days=30)  # time before the end of a certificate in which a check warns
RENEW = "the operator runs 'hushtune provision server' again after moving it away"


def authority(key: ec.EllipticCurvePrivateKey, days: int) -> x509.Certificate:
    """Make a self-signed certificate that may sign server certificates but no further authorities.

    Parameters
    ----------
    key
        Private key of the authority.
    days
        Validity in days from now.
    """
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        _builder("hushtune authority", _name("hushtune authority"), key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA384())
    )


def server_certificate(
    hosts: Collection[str],
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int,
) -> x509.Certificate:
    """Make a server certificate for these host names and IP addresses, signed by the authority.

    Parameters
    ----------
    hosts
        Host names and IP addresses; each becomes a subject alternative name of its kind.
    public
        Public key of the server.
    issuer
        Certificate of the authority.
    issuer_key
        Private key of the authority.
    days
        Validity in days from now.
    """
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        _builder("hushtune server", issuer.subject, public, days)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(issuer_key, hashes.SHA384())
    )


def _builder(subject: str, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(_name(subject))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # the clocks of two machines differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8 in PEM format."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_certificate(path: Path) -> x509.Certificate:
    """Read a certificate from a PEM file.

    Raises
    ------
    ConfigError
        The file cannot be read or is not a certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {RENEW}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not a certificate in PEM format; {RENEW}") from error


def read_pem_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read one of the operator's private keys from a PEM file.

    Raises
    ------
    ConfigError
        The file cannot be read, is locked with a passphrase, or is not an elliptic-curve key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {RENEW}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not an unlocked private key in PEM format; {RENEW}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: not an elliptic-curve key; {RENEW}")
    return key


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """Return the host names and IP addresses for which a certificate is valid."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return addresses | set(names.get_values_for_type(x509.DNSName))


def date_flaws(path: Path, certificate: x509.Certificate) -> list[Flaw]:
    """Return the flaw of a certificate that is not valid now, or not in 30 days; an empty list if there is none."""
    now = datetime.datetime.now(datetime.UTC)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        return [Flaw(path, f"not valid before {start:%Y-%m-%d %H:%M} UTC", "check the clock of this machine")]
    if now > end:
        return [Flaw(path, f"expired on {end:%Y-%m-%d}", RENEW)]
    return [Flaw(path, f"expires on {end:%Y-%m-%d}", RENEW, fatal=False)] if now + SOON > end else []


def authority_flaws(path: Path, certificate: x509.Certificate) -> list[Flaw]:
    """Return the flaws of an authority's certificate: that it may not sign others, or its dates."""
    try:
        may_sign = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        may_sign = False
    if not may_sign:
        return [Flaw(path, "not the certificate of an authority", "copy ca.crt, not server.crt")]
    return date_flaws(path, certificate)


def issue_flaws(path: Path, certificate: x509.Certificate, issuer: x509.Certificate) -> list[Flaw]:
    """Return the flaw of a certificate that was not signed by the issuer; an empty list if it was."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return [Flaw(path, "not signed by the authority of ca.crt, so sites will not trust it", RENEW)]
    return []


def belongs(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Tell whether a private key belongs to the certificate."""
    kind = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*kind) == key.public_key().public_bytes(*kind)
