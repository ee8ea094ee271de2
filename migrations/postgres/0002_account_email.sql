-- Logins by e-mail address.
CREATE INDEX account_email ON account (lower(email)) WHERE email IS NOT NULL;
