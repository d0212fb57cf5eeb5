"""A certificate authority for one test run, made with the openssl command."""

from __future__ import annotations

import subprocess
from pathlib import Path

DAYS = "2"
KEY_PASSWORD = "key password"


class Authority:
    """Files in `directory`: `ca.pem`, and for each name issued `NAME.pem` (certificate) and `NAME.key` (PKCS 8)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.pem"
        subject = ["-subj", "/CN=test authority", "-days", DAYS]
        self._openssl("req", "-x509", *self._new_key("ca"), "-out", str(self.certificate), *subject)

    def issue(self, name: str, *, encrypted: bool = False, days: str = DAYS) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1, and no host name, with its key; encrypted: with KEY_PASSWORD. With negative
        days it has expired."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, extension = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extension.write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", *self._new_key(name), "-out", str(request), "-subj", f"/CN={name}")
        issuer = ["-CA", str(self.certificate), "-CAkey", str(self.directory / "ca.key"), "-CAcreateserial"]
        signed = ["-days", days, "-extfile", str(extension), "-out", str(certificate)]
        self._openssl("x509", "-req", "-in", str(request), *issuer, *signed)
        if encrypted:
            plain = key.rename(key.with_suffix(".plain"))
            self._openssl("pkcs8", "-topk8", "-in", str(plain), "-out", str(key), "-passout", f"pass:{KEY_PASSWORD}")
            plain.unlink()
        return certificate, key

    def _new_key(self, name: str) -> list[str]:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        return [*curve, "-nodes", "-keyout", str(self.directory / f"{name}.key")]

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
