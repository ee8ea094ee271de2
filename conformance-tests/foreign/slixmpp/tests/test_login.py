"""Login: transports, SASL mechanisms, refusals."""

import ssl

from device import Case, Device, new_account
import device


class Login(Case):
    async def _login(self, transport, **options) -> Device:
        client = self.device(new_account("login"), "phone", transport, **options)
        await client.online()
        return client

    def _mechanism(self, client: Device) -> str:
        return client["feature_mechanisms"].mech.name

    async def test_starttls(self):
        client = await self._login("starttls")
        self.assertIn("starttls", client.features)
        self.assertTrue(self._mechanism(client).startswith("SCRAM-"))

    async def test_direct_tls(self):
        client = await self._login("tls")
        self.assertNotIn("starttls", client.features)
        self.assertTrue(self._mechanism(client).startswith("SCRAM-"))

    async def test_tls_1_2(self):
        """Here slixmpp can bind the channel by tls-unique; it must get in with or without."""
        client = self.device(new_account("login"), "phone", "tls")
        client.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
        await client.online()
        self.assertTrue(self._mechanism(client).startswith("SCRAM-"))

    async def test_scram_sha_1(self):
        self.assertEqual("SCRAM-SHA-1", self._mechanism(
            await self._login("starttls", mechanism="SCRAM-SHA-1")))

    async def test_scram_sha_256(self):
        self.assertEqual("SCRAM-SHA-256", self._mechanism(
            await self._login("starttls", mechanism="SCRAM-SHA-256")))

    async def test_scram_sha_512(self):
        self.assertEqual("SCRAM-SHA-512", self._mechanism(
            await self._login("starttls", mechanism="SCRAM-SHA-512")))

    async def test_plain(self):
        self.assertEqual("PLAIN", self._mechanism(
            await self._login("tls", mechanism="PLAIN")))

    async def test_password_with_spaces_and_accents(self):
        account = new_account("romeo", "é ü ß 密码 & <co>")
        await self.device(account, "phone").online()

    async def test_resource_is_the_one_asked_for(self):
        client = await self._login("starttls")
        self.assertEqual("phone", client.boundjid.resource)

    async def test_server_makes_a_resource(self):
        client = await self.device(new_account("login"), "", "tls").online()
        self.assertTrue(client.boundjid.resource)

    async def _refused(self, *, events, **options):
        client = self.device(new_account("login"), "phone", **options)
        name, _ = await client.until("session_start", *events)
        self.assertIn(name, events)

    async def test_wrong_password_is_refused(self):
        await self._refused(password="not it", events=["failed_all_auth"])

    async def test_unknown_account_is_refused(self):
        nobody = device.Account("nobody", "x")
        name, _ = await self.device(nobody, "phone").until("session_start", "failed_all_auth")
        self.assertEqual("failed_all_auth", name)

    async def test_wrong_ca_fails_by_starttls(self):
        await self._refused(ca=device.TARGET["wrong_ca"], events=["ssl_invalid_chain"])

    async def test_wrong_ca_fails_by_direct_tls(self):
        await self._refused(transport="tls", ca=device.TARGET["wrong_ca"],
                            events=["connection_failed"])

    async def test_same_resource_again(self):
        """RFC 6120 7.7.2.2: the newcomer gets in; whoever loses the resource is told."""
        first = await self._login("starttls")
        second = self.device(first.account, "phone", "tls")
        await second.online()
        await second.barrier()
        if second.boundjid.resource == "phone":
            await first.close()
