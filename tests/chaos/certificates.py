"""An authority of the tests' own: what the proxy shows to operators, and what operators show to it."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = "[req]\ndistinguished_name=dn\n[dn]\n"  # the machine's own adds extensions of its choice


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def serial(self) -> str:
        """Its serial number as `ssl` writes it, in hexadecimal."""
        shown = _openssl("x509", "-in", str(self.certificate), "-noout", "-serial")
        return shown.strip().partition("=")[2]


class Authority:
    """Signs certificates for 127.0.0.1, and for clients."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._own = self._made(name, "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign", signed=False)

    @property
    def certificate(self) -> Path:
        """What those have to know who trust it."""
        return self._own.certificate

    def serving(self) -> ssl.SSLContext:
        """What a server needs that shows a certificate of this authority, and asks clients for one."""
        shown = self._made(f"{self._name}-serving", "extendedKeyUsage=serverAuth", "subjectAltName=IP:127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certificate))
        context.load_cert_chain(shown.certificate, shown.key)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client(self, name: str) -> Certificate:
        """Sign a client's certificate."""
        return self._made(name, "extendedKeyUsage=clientAuth")

    def _made(self, name: str, *extensions: str, signed: bool = True) -> Certificate:
        made = Certificate(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        authority = ["-CA", str(self._own.certificate), "-CAkey", str(self._own.key)] if signed else []
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", str(made.key), "-out", str(made.certificate)]
        added = [word for extension in extensions for word in ("-addext", extension)]
        _openssl(
            "req",
            "-config",
            "/dev/stdin",
            "-x509",
            *authority,
            *curve,
            *files,
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            *added,
        )
        return made


def _openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], input=_CONFIGURATION, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
