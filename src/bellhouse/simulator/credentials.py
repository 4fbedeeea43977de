"""The accounts, keys and certificates the simulated providers know, made once and kept if there is a directory."""

import datetime
import ipaddress
import json
import os
import secrets
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct
from msgspec import json as mjson

_FILE = "simulator-credentials.json"


class Secrets(Struct, frozen=True, kw_only=True):
    """Everything that must stay the same for a client across restarts; keys are PEM."""

    project_id: str
    fcm_key_id: str
    fcm_private_key: str
    sendgrid_api_key: str
    sendgrid_private_key: str
    twilio_account_sid: str
    twilio_auth_token: str
    vonage_api_key: str
    vonage_api_secret: str
    vonage_signature_secret: str
    smtp_username: str
    smtp_password: str
    smtp_dsn_secret: str
    ca_pem: str
    tls_cert_pem: str
    tls_private_key: str

    @property
    def client_email(self) -> str:
        """The service account's address."""
        return f"bellhouse@{self.project_id}.iam.gserviceaccount.com"


class Ports(Struct, frozen=True, kw_only=True):
    """Where the providers listen, as clients are told."""

    host: str
    http: dict[str, int]
    tls: int
    smtp: int

    def url(self, provider: str) -> str:
        """The plain HTTP base URL of one provider."""
        return f"http://{self.host}:{self.http[provider]}"

    @property
    def tls_url(self) -> str:
        """The base URL over TLS."""
        return f"https://{self.host}:{self.tls}"


def load(directory: str | None, host: str) -> Secrets:
    """The secrets kept in `directory`, made at the first start; fresh ones without a directory."""
    if directory is None:
        return _make(host)
    path = Path(directory) / _FILE
    if path.exists():
        return mjson.decode(path.read_bytes(), type=Secrets)
    made = _make(host)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.touch(0o600)
    with partial.open("wb") as file:
        file.write(mjson.encode(made))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return made


def published(known: Secrets, ports: Ports) -> bytes:
    """What `GET /credentials` answers."""
    return json.dumps(
        {
            "fcm": _fcm(known, ports),
            "sendgrid": {
                "base_url": ports.url("sendgrid"),
                "api_key": known.sendgrid_api_key,
                "webhook_public_key": _public_key(known.sendgrid_private_key),
            },
            "twilio": {
                "base_url": ports.url("twilio"),
                "account_sid": known.twilio_account_sid,
                "auth_token": known.twilio_auth_token,
                "from": "+15005550006",
            },
            "vonage": {
                "base_url": ports.url("vonage"),
                "api_key": known.vonage_api_key,
                "api_secret": known.vonage_api_secret,
                "signature_secret": known.vonage_signature_secret,
                "from": "Bellhouse",
            },
            "smtp": {
                "host": ports.host,
                "port": ports.smtp,
                "username": known.smtp_username,
                "password": known.smtp_password,
                "starttls": True,
                "dsn_secret": known.smtp_dsn_secret,
            },
            "ca_pem": known.ca_pem,
        },
        indent=2,
    ).encode()


def _fcm(known: Secrets, ports: Ports) -> dict[str, object]:
    token_url = f"{ports.tls_url}/token"
    return {
        "base_url": ports.tls_url,
        "plain_base_url": ports.url("fcm"),
        "token_url": token_url,
        "service_account": {
            "type": "service_account",
            "project_id": known.project_id,
            "private_key_id": known.fcm_key_id,
            "private_key": known.fcm_private_key,
            "client_email": known.client_email,
            "client_id": "100000000000000000001",
            "auth_uri": f"{ports.tls_url}/o/oauth2/auth",
            "token_uri": token_url,
            "auth_provider_x509_cert_url": f"{ports.tls_url}/oauth2/v1/certs",
            "client_x509_cert_url": f"{ports.tls_url}/robot/v1/metadata/x509/bellhouse",
            "universe_domain": "googleapis.com",
        },
    }


def tls_context(known: Secrets, alpn: list[str]) -> ssl.SSLContext:
    """A server context with the simulator's certificate, offering `alpn`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if alpn:
        context.set_alpn_protocols(alpn)
    # The ssl module reads certificate and key from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(known.tls_private_key + known.tls_cert_pem + known.ca_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _make(host: str) -> Secrets:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _authority(ca_key)
    key = ec.generate_private_key(ec.SECP256R1())
    fcm_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Secrets(
        project_id="bellhouse-simulated",
        fcm_key_id=secrets.token_hex(20),
        fcm_private_key=_pem(fcm_key),
        sendgrid_api_key=f"SG.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}",
        sendgrid_private_key=_pem(ec.generate_private_key(ec.SECP256R1())),
        twilio_account_sid=f"AC{secrets.token_hex(16)}",
        twilio_auth_token=secrets.token_hex(16),
        vonage_api_key=secrets.token_hex(4),
        vonage_api_secret=secrets.token_urlsafe(12),
        vonage_signature_secret=secrets.token_urlsafe(32),
        smtp_username="bellhouse",
        smtp_password=secrets.token_urlsafe(18),
        smtp_dsn_secret=secrets.token_urlsafe(24),
        ca_pem=_cert_pem(ca),
        tls_cert_pem=_cert_pem(_leaf(ca, ca_key, key, host)),
        tls_private_key=_pem(key),
    )


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _cert_pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def _public_key(private_pem: str) -> str:
    """Base64 of the DER SubjectPublicKeyInfo, as SendGrid shows it."""
    key = serialization.load_pem_private_key(private_pem.encode(), None).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "".join(pem.decode().splitlines()[1:-1])


def _builder(subject: str, issuer: x509.Name | None = None) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    public = key.public_key()
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        _builder("Bellhouse simulator CA")
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey, host: str
) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    addresses = {"127.0.0.1", "::1"}
    try:
        addresses.add(str(ipaddress.ip_address(host)))
    except ValueError:
        names.append(x509.DNSName(host))
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in sorted(addresses)]
    return (
        _builder("Bellhouse simulator", ca.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
