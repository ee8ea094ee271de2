"""go-sendxmpp sends one message."""

import asyncio
import os

import device
from device import Case, new_account


class GoSendxmpp(Case):
    async def _send(self, sender, recipient: str, text: str, *, tls: bool, ca: str) -> int:
        port = device.TARGET["tls" if tls else "starttls"]
        command = ["go-sendxmpp", "-u", sender.jid, "-p", sender.password,
                   "-j", f"{device.TARGET['host']}:{port}", *(["-t"] if tls else []), recipient]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, env={**os.environ, "SSL_CERT_FILE": ca})
        _, errors = await asyncio.wait_for(process.communicate(text.encode()), 30)
        print(f"go-sendxmpp: {errors.decode().strip()}", flush=True)
        return process.returncode

    async def _arrives(self, *, tls: bool):
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        sender = new_account("romeo")
        text = "by the way of Go é 🚀 <&>"
        status = await self._send(sender, juliet.account.jid, text, tls=tls,
                                  ca=device.TARGET["ca"])
        self.assertEqual(0, status)
        came = await juliet.expect(lambda s: s.name == "message" and s["body"].strip() == text,
                                   "message")
        self.assertEqual(sender.jid, came["from"].bare)

    async def test_by_starttls(self):
        await self._arrives(tls=False)

    async def test_by_direct_tls(self):
        await self._arrives(tls=True)

    async def test_wrong_ca_fails(self):
        sender = new_account("romeo")
        for tls in (False, True):
            status = await self._send(sender, sender.jid, "no", tls=tls,
                                      ca=device.TARGET["wrong_ca"])
            self.assertNotEqual(0, status)
