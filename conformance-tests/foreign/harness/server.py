"""The servers under test: the built `wello`, or Prosody as a stand-in."""

import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .process import Failed, Service, run

DOMAIN = "localhost"
HOST = "127.0.0.1"
# Of components, which have their domains below DOMAIN.
SECRET = "open sesame"
START_SECONDS = 60
STOP_SECONDS = 30


@dataclass(frozen=True)
class Ports:
    starttls: int
    tls: int
    https: int
    http: int
    bytestreams: int
    turn: int
    turns: int
    components: int


def free_ports() -> Ports:
    sockets = [socket.socket() for _ in range(8)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()


class Server:
    """A server on ports and data of its own. `add_user` is a command with {user} {password}."""

    name: str
    ca: Path
    add_user: list
    #: Exit statuses after SIGTERM that are not a failure.
    clean = (0,)

    def __init__(self, home: Path):
        self.home = home
        self.ports = free_ports()
        self.service = None

    def start(self):
        raise NotImplementedError

    def stop(self) -> int:
        return self.service.stop(STOP_SECONDS)

    def target(self) -> dict:
        """What a suite has to know of the server."""
        return {
            "name": self.name,
            "domain": DOMAIN,
            "host": HOST,
            "starttls": self.ports.starttls,
            "tls": self.ports.tls,
            "https": self.ports.https,
            "http": self.ports.http,
            "components": self.ports.components,
            "secret": SECRET,
            "websocket": f"wss://{DOMAIN}:{self.ports.https}/xmpp-websocket",
            "ca": str(self.ca),
            "wrong_ca": str(wrong_ca(self.home)),
            "add_user": [str(part) for part in self.add_user],
        }


class Wello(Server):
    name = "wello"

    def __init__(self, home: Path, program: Path):
        super().__init__(home)
        self.program = program
        self.config = home / "config.toml"
        self.ca = home / "data" / "certs" / f"{DOMAIN}.crt"
        self.add_user = [program, "user", "add", f"{{user}}@{DOMAIN}",
                         "--password", "{password}", "--config", self.config]

    def start(self):
        self.config.write_text(WELLO_CONFIG.format(
            domain=DOMAIN, host=HOST, data=self.home / "data", secret=SECRET,
            **vars(self.ports)))
        self.service = Service([self.program, "serve", "--config", self.config],
                               log=self.home / "server.log", cwd=self.home)
        self.service.wait_line(lambda line: line.startswith("ready"), START_SECONDS)


WELLO_CONFIG = """\
hosts = ["{domain}"]
data_dir = "{data}"
[listen]
c2s = ["{host}:{starttls}"]
c2s_tls = ["{host}:{tls}"]
https = ["{host}:{https}"]
http = ["{host}:{http}"]
bytestreams = ["{host}:{bytestreams}"]
turn = ["{host}:{turn}"]
turns = ["{host}:{turns}"]
components = ["{host}:{components}"]
[turn]
relay_address = ["{host}"]
[s2s]
enabled = false
[[component]]
domain = "irc.{domain}"
secret = "{secret}"
[[component]]
domain = "bridge.{domain}"
secret = "{secret}"
[component.privileges]
roster = "both"
message = "outgoing"
presence = "managed_entity"
iq = {{ "http://jabber.org/protocol/pubsub" = "both" }}
[[component]]
domain = "slidge.{domain}"
secret = "{secret}"
[component.privileges]
roster = "both"
message = "outgoing"
[component.privileges.iq]
"http://jabber.org/protocol/pubsub" = "both"
"http://jabber.org/protocol/pubsub#owner" = "set"
"urn:xmpp:http:upload:0" = "get"
"""


class Prosody(Server):
    name = "prosody"
    # In its first second it has no handler of the signal yet.
    clean = (0, -signal.SIGTERM)

    def __init__(self, home: Path):
        super().__init__(home)
        tools.apt({"prosody": "prosody", "openssl": "openssl"})
        self.proxy = free_ports().http
        self.config = home / "prosody.cfg.lua"
        self.ca = home / "certs" / f"{DOMAIN}.crt"
        self.add_user = ["prosodyctl", "--root", "--config", self.config,
                         "register", "{user}", DOMAIN, "{password}"]

    def start(self):
        self_signed(self.ca, DOMAIN)
        self.config.write_text(PROSODY_CONFIG.format(
            domain=DOMAIN, host=HOST, home=self.home, proxy=self.proxy, secret=SECRET,
            **vars(self.ports)))
        (self.home / "data").mkdir(exist_ok=True)
        # No --version, no --help: any call of `prosody` starts the server.
        self.service = Service(["prosody", "--config", self.config, "-F", "--root"],
                               log=self.home / "server.log")
        self._wait_listening(time.monotonic() + START_SECONDS)

    def _wait_listening(self, end: float):
        """Prosody says nothing when it is ready: its last listener answers."""
        self.service.wait_line(
            lambda line: "Activated service 'https'" in line, end - time.monotonic())


# Every limit that a suite of many logins from one address would run into is off.
PROSODY_CONFIG = """\
run_as_root = true
pidfile = "{home}/prosody.pid"
data_path = "{home}/data"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "{host}" }}
c2s_ports = {{ {starttls} }}
c2s_direct_tls_ports = {{ {tls} }}
s2s_ports = {{ }}
proxy65_ports = {{ {proxy} }}
proxy65_interfaces = {{ "{host}" }}
component_ports = {{ {components} }}
http_ports = {{ {http} }}
https_ports = {{ {https} }}
http_interfaces = {{ "{host}" }}
https_interfaces = {{ "{host}" }}
certificates = "{home}/certs"
ssl = {{ certificate = "{home}/certs/{domain}.crt", key = "{home}/certs/{domain}.key" }}
https_certificate = "{home}/certs/{domain}.crt"
authentication = "internal_hashed"
c2s_require_encryption = true
modules_enabled = {{
    "disco", "roster", "saslauth", "tls", "blocklist", "bookmarks", "carbons", "csi_simple",
    "lastactivity", "mam", "offline", "pep", "ping", "posix", "private", "register", "smacks",
    "time", "uptime", "vcard4", "vcard_legacy", "version", "websocket", "bosh",
}}
modules_disabled = {{ "s2s", "limits" }}
archive_expires_after = "never"
default_archive_policy = true
max_archive_query_results = 50
VirtualHost "{domain}"
Component "conference.{domain}" "muc"
    modules_enabled = {{ "muc_mam" }}
Component "upload.{domain}" "http_file_share"
Component "proxy.{domain}" "proxy65"
    proxy65_address = "{host}"
Component "irc.{domain}"
    component_secret = "{secret}"
Component "bridge.{domain}"
    component_secret = "{secret}"
Component "slidge.{domain}"
    component_secret = "{secret}"
"""


def wrong_ca(home: Path) -> Path:
    """A certificate for the same domain that the server does not have the key of."""
    path = home / "wrong" / f"{DOMAIN}.crt"
    if not path.exists():
        tools.apt({"openssl": "openssl"})
        self_signed(path, DOMAIN)
    return path


def self_signed(certificate: Path, domain: str):
    certificate.parent.mkdir(parents=True, exist_ok=True)
    try:
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", f"/CN={domain}",
             "-addext", f"subjectAltName=DNS:{domain},DNS:*.{domain}",
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-out", certificate, "-keyout", certificate.with_suffix(".key")],
            log=certificate.with_suffix(".log"), seconds=60)
    except Failed as error:
        raise tools.Missing(str(error)) from error
