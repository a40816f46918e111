"""Certificates by openssl, of an authority that nobody but a test trusts."""

import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from local_process import spawn

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
HERE = ("localhost", "127.0.0.1")
# `openssl x509` can make a certificate of the past in no way that both 3.0 and 3.5 know; this can.
REGISTER = """
[ca]
default_ca = own
[own]
database = {folder}/issued
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copyall
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files."""

    chain: Path
    key: Path
    both: Path  # the key, then the chain


class Authority:
    """`ca_file` is what has to be trusted. Everything is in `folder`."""

    def __init__(self, folder):
        self._folder = Path(tempfile.mkdtemp(prefix="authority-", dir=folder))
        self.ca_file = self._folder / "ca.pem"
        self._issued = 0
        (self._folder / "issued").touch()
        (self._folder / "register").write_text(REGISTER.format(folder=self._folder))
        _openssl("req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=terra-connect test authority",
            "-addext", "keyUsage=critical,keyCertSign", "-keyout", self._folder / "ca.key", "-out", self.ca_file)

    def issue(self, *names, expired=False):
        """For those host names and addresses; without any for HERE."""
        self._issued += 1
        certificate = Certificate(*(self._folder / f"{self._issued}.{kind}" for kind in ("pem", "key", "both")))
        request = self._folder / "request"
        names = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names or HERE)
        _openssl("req", "-new", *NEW_KEY, "-subj", "/CN=terra-connect test", "-addext", f"subjectAltName={names}",
            "-keyout", certificate.key, "-out", request)
        _openssl("ca", "-batch", "-notext", "-config", self._folder / "register", "-in", request,
            "-startdate", _day(-2), "-enddate", _day(-1 if expired else 2), "-out", certificate.chain)
        certificate.both.write_text(certificate.key.read_text() + certificate.chain.read_text())
        return certificate


def _day(number):
    """So many days from now, as openssl writes it."""
    return (datetime.now(timezone.utc) + timedelta(days=number)).strftime("%Y%m%d%H%M%SZ")


def _openssl(*arguments):
    process = spawn(["openssl", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    output, _ = process.communicate(timeout=60)
    if process.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {output}")
