"""The matrix server of FastMCP 3.4 over HTTPS, with a certificate of its own authority.

    python tls_server.py --ca FILE [--until-stdin-closes]

The authority's certificate goes to FILE; the server's is for `localhost`.
"""

import argparse
import datetime
import pathlib
import tempfile

import loopback
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from matrix_fastmcp_server import server


def certificate(name: str, key, issuer: str, issuers_key, *extensions: tuple[x509.ExtensionType, bool]) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(issuers_key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


parser = argparse.ArgumentParser()
parser.add_argument("--ca", type=pathlib.Path, required=True)
loopback.add_arguments(parser)
arguments = parser.parse_args()
stdout = loopback.claim_stdout()

ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ca = certificate("test CA", ca_key, "test CA", ca_key, (x509.BasicConstraints(ca=True, path_length=0), True))
own = certificate(
    "localhost",
    key,
    "test CA",
    ca_key,
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False),
    (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
)
arguments.ca.write_bytes(pem(ca))
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + pem(own))
    loopback.serve(server.http_app(), stdout, arguments.until_stdin_closes, certificate=file)
