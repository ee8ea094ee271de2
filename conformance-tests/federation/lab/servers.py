"""The servers, each with a host and a domain of its own, on the ports that everybody expects."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

from harness.process import Service, run

from .certificates import Certificate
from .client import Client
from .network import GATE, Network

PASSWORD = "long enough 1"
START_SECONDS = 60
STOP_SECONDS = 20
# Where Debian keeps the libraries of ejabberd.
LIBRARIES = "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu"


class Server:
    """`trusted`: the authority by which servers prove who they are; without it they do by dialback."""

    name: str
    number: int
    user: str

    def __init__(self, network: Network, lab: str, certificate: Certificate, trusted: Path | None):
        self.domain = f"{self.name}.example"
        self._network = network
        self.host = network.host(self.name, self.number)
        self.home = network.logs / lab / self.name
        self.home.mkdir(parents=True)
        self._trusted = trusted
        self.shown = certificate
        self._service: Service | None = None

    async def start(self) -> "Server":
        self.show(self.shown)
        self._network.dns.publish(self.domain, self.host.address)
        self._service = Service(
            self.host.command(*self._command()), log=self.home / "log", cwd=self.home,
            env=self._environment())
        await self._ready()
        return self

    async def login(self, resource: str, **options) -> Client:
        return await Client(self.domain, self.user, resource, **options).login(
            self.host.address, PASSWORD)

    def show(self, certificate: Certificate):
        """The certificate that it reads when it starts."""
        self.shown = certificate
        shutil.copy(certificate.chain, self.home / f"{self.domain}.crt")
        shutil.copy(certificate.key, self.home / f"{self.domain}.key")

    async def stop(self):
        await asyncio.to_thread(self._service.stop, STOP_SECONDS)

    async def kill(self):
        self.signal(signal.SIGKILL)
        await asyncio.to_thread(self._service.process.wait)

    async def restart(self):
        await self.stop()
        await self.start()

    def signal(self, number: signal.Signals):
        self._service.process.send_signal(number)

    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self._service.process.pid}/statm").read_text()
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def _ready(self):
        for port in (5223, 5269):
            await self._listens(port)

    async def _listens(self, port: int):
        async with asyncio.timeout(START_SECONDS):
            while True:
                if not self._service.running():
                    raise RuntimeError(f"{self.name} ended: see {self.home / 'log'}")
                try:
                    _, writer = await asyncio.open_connection(self.host.address, port)
                    writer.close()
                    return
                except OSError:
                    await asyncio.sleep(0.1)

    def _command(self) -> list:
        raise NotImplementedError

    def _environment(self) -> dict:
        return {}


class Wello(Server):
    name = "wello"
    number = 2
    user = "romeo"

    def __init__(self, *arguments, program: Path, s2s: str = ""):
        super().__init__(*arguments)
        self._program = program
        proof = f'require_certificate = true\nca = "{self._trusted}"\n' if self._trusted else ""
        self.config = self.home / "config.toml"
        self.config.write_text(WELLO.format(
            domain=self.domain, home=self.home, subnet=f"{GATE}/24", s2s=proof + s2s))
        self.show(self.shown)
        run([program, "user", "add", f"{self.user}@{self.domain}", "--password", PASSWORD,
             "--config", self.config], log=self.home / "log", seconds=START_SECONDS)

    def _command(self):
        return [str(self._program), "serve", "--config", str(self.config)]

    def proofs(self, by: str) -> int:
        """How often another server has proved who it is in this way."""
        return self.log().count(f'"by":"{by}"')


WELLO = """\
data_dir = "{home}/data"
hosts = []
[listen]
bytestreams = []
turn = []
turns = []
[auth]
scram_iterations = 4096
[log]
level = "info,wello_net=debug"
[s2s]
private_networks = ["{subnet}"]
retry_seconds = 1
{s2s}
[[host]]
domain = "{domain}"
certificate = "{home}/{domain}.crt"
key = "{home}/{domain}.key"
"""


class Prosody(Server):
    name = "prosody"
    number = 3
    user = "juliet"

    def _command(self):
        accounts = self.home / "data" / self.domain.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{self.user}.dat").write_text(f'return {{ password = "{PASSWORD}" }};\n')
        config = self.home / "prosody.cfg.lua"
        proof = f'ssl = {{ cafile = "{self._trusted}" }}\ns2s_secure_auth = true' if self._trusted \
            else "s2s_secure_auth = false"
        config.write_text(PROSODY.format(home=self.home, domain=self.domain, gate=GATE, proof=proof))
        return ["prosody", "--config", str(config), "-F"]


PROSODY = """\
run_as_root = true
pidfile = "{home}/prosody.pid"
data_path = "{home}/data"
log = {{ {{ levels = {{ min = "debug" }}, to = "console" }} }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ 5223 }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
unbound = {{ resolvconf = false, hoststxt = false, forward = "{gate}@53" }}
use_ipv6 = false
modules_enabled = {{
    "roster", "saslauth", "tls", "dialback", "disco", "ping", "pep", "vcard_legacy", "offline",
    "smacks", "s2s_bidi",
}}
modules_disabled = {{ "limits" }}
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = true
s2s_require_encryption = true
certificates = "{home}"
{proof}
VirtualHost "{domain}"
Component "conference.{domain}" "muc"
    modules_enabled = {{ "muc_mam" }}
    restrict_room_creation = false
    muc_room_locking = false
    muc_log_by_default = true
"""


class Ejabberd(Server):
    name = "ejabberd"
    number = 4
    user = "juliet"

    def show(self, certificate):
        super().show(certificate)
        both = certificate.chain.read_text() + certificate.key.read_text()
        (self.home / "both.pem").write_text(both)

    async def _ready(self):
        await asyncio.to_thread(
            self._service.wait_line, lambda line: "account ready" in line, START_SECONDS)
        await super()._ready()

    def _command(self):
        authority = self._trusted or self.shown.chain
        dialback = "" if self._trusted else "  mod_s2s_dialback: {}\n"
        (self.home / "ejabberd.yml").write_text(EJABBERD.format(
            home=self.home, domain=self.domain, authority=authority, dialback=dialback))
        register = (f'ejabberd_auth:try_register(<<"{self.user}">>, <<"{self.domain}">>, '
                    f'<<"{PASSWORD}">>), io:format("~naccount ready~n").')
        return ["erl", "-noinput", "-mnesia", "dir", f'"{self.home / "mnesia"}"',
                "-s", "ejabberd", "-eval", register]

    def _environment(self):
        return {
            "ERL_LIBS": LIBRARIES,
            "EJABBERD_CONFIG_PATH": str(self.home / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.home / "ejabberd.log"),
            "ERL_CRASH_DUMP": str(self.home / "crash.dump"),
            "HOME": str(self.home),
        }


EJABBERD = """\
loglevel: debug
hosts: ["{domain}"]
certfiles: ["{home}/both.pem"]
ca_file: "{authority}"
s2s_cafile: "{authority}"
s2s_use_starttls: required
listen:
  - port: 5223
    ip: "0.0.0.0"
    module: ejabberd_c2s
    tls: true
    access: all
  - port: 5269
    ip: "0.0.0.0"
    module: ejabberd_s2s_in
modules:
  mod_adhoc: {{}}
  mod_caps: {{}}
  mod_disco: {{}}
  mod_mam: {{}}
  mod_muc: {{default_room_options: {{mam: true}}}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_roster: {{}}
{dialback}  mod_vcard: {{}}
"""
