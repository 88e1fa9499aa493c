"""A certificate authority and a server certificate for `localhost`, made anew for every run."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Certificates:
    authority: str
    authority_key: str
    certificate: str
    key: str
    client_certificate: str
    client_key: str
    # The SHA-256 of the client's certificate, in hexadecimal digits.
    client_sha256: str


def make_certificates(directory):
    directory = Path(directory)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = sign("Wampline test authority", authority_key.public_key(), "Wampline test authority", authority_key, True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign("localhost", key.public_key(), "Wampline test authority", authority_key, False)
    client_key = ec.generate_private_key(ec.SECP256R1())
    client = sign("device7", client_key.public_key(), "Wampline test authority", authority_key, False, is_client=True)
    paths = Certificates(
        *(str(directory / name) for name in ("authority.pem", "authority-key.pem", "certificate.pem", "key.pem", "client.pem", "client-key.pem")),
        client.fingerprint(hashes.SHA256()).hex(),
    )
    Path(paths.authority).write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    Path(paths.certificate).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    Path(paths.client_certificate).write_bytes(client.public_bytes(serialization.Encoding.PEM))
    for path, private in ((paths.authority_key, authority_key), (paths.key, key), (paths.client_key, client_key)):
        write_key(path, private)
    return paths


def make_client(directory, file_name, certificates, common_name, names):
    """A client's certificate with these alternative names, of the authority of `certificates`: the paths of it and its key, and itself."""
    authority_key = serialization.load_pem_private_key(Path(certificates.authority_key).read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    made = sign(common_name, key.public_key(), "Wampline test authority", authority_key, False, is_client=True, names=names)
    paths = tuple(str(Path(directory) / f"{file_name}{suffix}") for suffix in (".pem", ".key"))
    Path(paths[0]).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    write_key(paths[1], key)
    return paths, made


def write_key(path, key):
    Path(path).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def sign(subject, public_key, issuer, issuer_key, is_authority, *, is_client=False, names=None):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(key_usage(is_authority), critical=True)
    )
    if is_client:
        names = names or [x509.DNSName(f"{subject}.example.com")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    elif not is_authority:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(is_authority):
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
