"""The website of a domain (RFC 7711): one document, over HTTPS. Run as a program it serves it."""

import asyncio
import base64
import hashlib
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from harness.process import Service

from .certificates import Certificate

PATH = "/.well-known/posh/xmpp-server.json"
START_SECONDS = 30
STOP_SECONDS = 10
# In seconds: it is asked anew for each test.
EXPIRES = 1


class Website:
    """Names `named` as the certificate of the domain's server; has `own` itself."""

    def __init__(self, server, own: Certificate, named: Certificate):
        leaf = ssl.PEM_cert_to_DER_cert(named.chain.read_text())
        print_ = base64.b64encode(hashlib.sha256(leaf).digest()).decode()
        document = {"fingerprints": [{"sha-256": print_}], "expires": EXPIRES}
        self._file = server.home / "posh.json"
        self._file.write_text(json.dumps(document))
        self._server, self._own = server, own

    async def __aenter__(self):
        home = Path(__file__).resolve().parents[1]
        program = [sys.executable, "-m", "lab.website", self._own.chain, self._own.key, self._file]
        self._service = Service(
            self._server.host.command(*map(str, program)), log=self._server.home / "website.log",
            cwd=home, env={"PYTHONPATH": f"{home}:{home.parent / 'foreign'}"})
        await asyncio.to_thread(self._service.wait_line, lambda line: "ready" in line, START_SECONDS)

    async def __aexit__(self, *_):
        await asyncio.to_thread(self._service.stop, STOP_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != PATH:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.document)))
        self.end_headers()
        self.wfile.write(self.server.document)


def _serve(chain: str, key: str, document: str):
    server = HTTPServer(("0.0.0.0", 443), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.document = Path(document).read_bytes()
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
