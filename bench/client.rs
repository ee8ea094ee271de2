//! Takes a session from TCP connect to bound resource.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    scanner::{has, text},
    scram::{Exchange, KeyCache, Mechanism},
    stream::Stream,
};

pub(crate) type Session = Stream<TlsStream<TcpStream>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Where and how sessions are opened; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    domain: Rc<str>,
    direct_tls: bool,
    mechanism: Mechanism,
    keys: KeyCache,
    connector: TlsConnector,
}

/// What the server agreed to, printed beside the figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) iterations: u32,
    pub(crate) tls: String,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        domain: &str,
        direct_tls: bool,
        mechanism: Mechanism,
    ) -> Result<Self> {
        Ok(Self {
            address,
            domain: domain.into(),
            direct_tls,
            mechanism,
            keys: KeyCache::default(),
            connector: TlsConnector::from(Arc::new(tls_config(None)?)),
        })
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Connects, secures, authenticates and binds `resource`; no stanza is sent after that.
    pub(crate) async fn login(
        &self,
        account: &Account,
        resource: &str,
    ) -> Result<(Session, Agreed)> {
        self.try_login(account, resource)
            .await
            .with_context(|| format!("login of {}", account.user))
    }

    async fn try_login(&self, account: &Account, resource: &str) -> Result<(Session, Agreed)> {
        let mut session = Stream::new(self.secure().await?);
        let tls = describe(&session);
        let features = session.open(&self.domain).await?;
        let name = self.mechanism.name();
        ensure!(has(&features, &format!(">{name}<")), "{name} is not offered");
        let iterations = self.authenticate(&mut session, account).await?;
        session.open(&self.domain).await?;
        bind(&mut session, resource).await?;
        Ok((session, Agreed { iterations, tls }))
    }

    async fn secure(&self) -> Result<TlsStream<TcpStream>> {
        let mut tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        if !self.direct_tls {
            tcp = self.start_tls(tcp).await?;
        }
        self.secure_stream(tcp).await
    }

    /// TLS from the first byte.
    pub(crate) async fn secure_stream(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.domain.to_string())?;
        Ok(self.connector.connect(name, tcp).await?)
    }

    async fn start_tls(&self, tcp: TcpStream) -> Result<TcpStream> {
        let mut plain = Stream::new(tcp);
        plain.open(&self.domain).await?;
        plain.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
        let answer = plain.receive().await?;
        ensure!(answer.starts_with(b"<proceed"), "STARTTLS: {}", String::from_utf8_lossy(&answer));
        Ok(plain.io)
    }

    async fn authenticate(&self, session: &mut Session, account: &Account) -> Result<u32> {
        const NS: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
        let name = self.mechanism.name();
        let mut exchange = Exchange::new(self.mechanism, &account.user);
        let auth = format!("<auth xmlns='{NS}' mechanism='{name}'>{}</auth>", exchange.first());
        session.send(auth.as_bytes()).await?;
        let challenge = session.receive().await?;
        let challenge = text(&challenge, "challenge").with_context(|| refusal(&challenge))?;
        let answer = exchange.answer(challenge, &account.password, &self.keys)?;
        session.send(format!("<response xmlns='{NS}'>{answer}</response>").as_bytes()).await?;
        let success = session.receive().await?;
        exchange.verify(text(&success, "success").with_context(|| refusal(&success))?)?;
        Ok(exchange.iterations)
    }
}

async fn bind(session: &mut Session, resource: &str) -> Result<()> {
    let bind = format!(
        "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <resource>{resource}</resource></bind></iq>"
    );
    session.send(bind.as_bytes()).await?;
    let bound = session.receive().await?;
    ensure!(text(&bound, "jid").is_some(), "bind: {}", String::from_utf8_lossy(&bound));
    Ok(())
}

fn refusal(element: &[u8]) -> String {
    format!("unexpected answer: {}", String::from_utf8_lossy(element))
}

fn describe(session: &Session) -> String {
    let (_, tls) = session.io.get_ref();
    let suite = tls.negotiated_cipher_suite().map(|s| format!("{:?}", s.suite()));
    format!(
        "{:?} {}",
        tls.protocol_version().map_or(String::new(), |v| format!("{v:?}")),
        suite.unwrap_or_default()
    )
    .replace('"', "")
}

/// One key exchange and one suite per version, the same for every server, and no resumption: a login is always a
/// full handshake. `shown`: our own certificate, if any.
pub(crate) fn tls_config(
    shown: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
            aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    };
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnything { schemes }));
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Checking the certificate would cost the generator and says nothing about the server's speed.
#[derive(Debug)]
struct TrustAnything {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for TrustAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Reads accounts: one `jid password` a line, `#` begins a comment.
pub(crate) fn parse_accounts(text: &str) -> Result<Vec<Account>> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(jid), Some(password)) = (words.next(), words.next()) else {
                bail!("account line without a password: {line}");
            };
            let user = jid.split('@').next().unwrap_or(jid).to_owned();
            Ok(Account { user, password: password.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_account_lines() {
        let accounts = parse_accounts("# two\na@localhost pw admin\n\n b@localhost  x \n").unwrap();
        let account =
            |user: &str, password: &str| Account { user: user.into(), password: password.into() };
        assert_eq!(accounts, [account("a", "pw"), account("b", "x")]);
        assert!(parse_accounts("a@localhost").is_err());
    }
}
