"""Authorities of the tests, and certificates with every flaw that a server must notice."""

import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CONFIG = """\
[ca]
default_ca = own
[own]
database = {home}/index.txt
new_certs_dir = {home}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


class Flaw(Enum):
    NONE = "good"
    EXPIRED = "expired"
    WRONG_NAME = "of another name"
    SELF_SIGNED = "self-signed"
    UNKNOWN = "of an unknown authority"


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path


class Authority:
    def __init__(self, home: Path):
        home.mkdir(parents=True)
        self._home = home
        self.certificate = home / "authority.crt"
        (home / "index.txt").touch()
        (home / "ca.cnf").write_text(CONFIG.format(home=home))
        _self_signed(self.certificate, home / "authority.key", "/CN=Test authority",
                     "basicConstraints=critical,CA:TRUE")

    def issue(self, domain: str, flaw: Flaw = Flaw.NONE) -> Certificate:
        """For the domain and what lies below."""
        name = "elsewhere.example" if flaw == Flaw.WRONG_NAME else domain
        names = f"subjectAltName=DNS:{name},DNS:*.{name}"
        folder = self._home / f"{domain} {flaw.value}"
        folder.mkdir()
        made = Certificate(folder / "chain.pem", folder / "key.pem")
        if flaw == Flaw.SELF_SIGNED:
            _self_signed(made.chain, made.key, f"/CN={name}", names)
            return made
        request = folder / "request.pem"
        _openssl("req", "-new", *_new_key(made.key), "-subj", f"/CN={name}", "-addext", names,
                 "-out", request)
        dates = (["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]
                 if flaw == Flaw.EXPIRED else ["-days", "30"])
        _openssl("ca", "-batch", "-notext", "-config", self._home / "ca.cnf",
                 "-cert", self.certificate, "-keyfile", self._home / "authority.key",
                 *dates, "-in", request, "-out", made.chain)
        return made


def _self_signed(chain: Path, key: Path, subject: str, extension: str):
    _openssl("req", "-x509", *_new_key(key), "-days", "30", "-subj", subject,
             "-addext", extension, "-out", chain)


def _new_key(path: Path) -> list:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]


def _openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.strip()}")
