//! Whether another server can be reached, step by step, for the operator.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;
use wello_kernel::config::Config;
use wello_store::Timestamp;
use wello_stream::s2s::{
    DialbackSecret, Domain, Negotiable, Outgoing, OutgoingAction, Pair, Settings,
};

use super::connect::{self, ConnectError, Connected, Secured};
use super::dane::Associations;
use super::lookup::{Resolver, Target};
use super::socket::Socket;
use super::trust::Verifier;
use super::{S2sError, policy};
use crate::tls::anonymous_client;

/// What a step has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// It works all the same.
    Odd,
    /// Stanzas do not get there.
    Bad,
}

/// For one place where the server may be.
const PATIENCE: Duration = Duration::from_secs(15);

struct Probe {
    config: Config,
    resolver: Resolver,
    verifier: Verifier,
    now: Timestamp,
    pair: Pair,
    seen: Vec<Observation>,
}

/// Looks the server of `domain` up and connects as our first host would, without proving who that is.
pub async fn probe(
    config: &Config,
    roots: RootCertStore,
    domain: &Domain,
    now: Timestamp,
) -> Result<Vec<Observation>, S2sError> {
    let resolver = Resolver::new(&config.s2s)?;
    let verifier = Verifier::new(roots, &config.s2s)?;
    let own = config.domains().into_iter().find_map(Domain::parse);
    let from = own.unwrap_or_else(|| domain.clone());
    let pair = Pair { from, to: domain.clone() };
    let config = config.clone();
    let mut probe = Probe { config, resolver, verifier, now, pair, seen: Vec::new() };
    probe.look().await;
    Ok(probe.seen)
}

impl Probe {
    fn see(&mut self, kind: Kind, text: impl Into<String>) {
        self.seen.push(Observation { kind, text: text.into() });
    }

    async fn look(&mut self) {
        let domain = self.pair.to.clone();
        match policy::decide(&self.config.s2s, &domain) {
            _ if !self.config.s2s.enabled => self.see(Kind::Bad, "s2s.enabled is false"),
            (policy::Verdict::Denied, reason) => {
                self.see(Kind::Bad, format!("this server does not talk to {domain}: {reason}"));
            }
            (policy::Verdict::Certificate, reason) => {
                self.see(Kind::Good, format!("a valid certificate is required: {reason}"));
            }
            (policy::Verdict::Either, _) => {}
        }
        let targets = match self.resolver.targets(&domain).await {
            Ok(targets) => targets,
            Err(error) => return self.see(Kind::Bad, error.to_string()),
        };
        let mut reached = false;
        for target in &targets {
            match timeout(PATIENCE, self.reach(target)).await {
                Ok(good) => reached |= good,
                Err(_) => {
                    let place = format!("{}:{}", target.host, target.port);
                    self.see(Kind::Odd, format!("{place}: no answer within {PATIENCE:?}"));
                }
            }
        }
        match reached {
            true => self.see(Kind::Good, format!("{domain} can be spoken with")),
            false => self.see(Kind::Bad, format!("{domain} cannot be spoken with")),
        }
    }

    async fn reach(&mut self, target: &Target) -> bool {
        let kind = if target.direct { "direct TLS" } else { "STARTTLS" };
        let place = format!("{}:{} ({kind})", target.host, target.port);
        let connected = match self.connect(target).await {
            Ok(connected) => connected,
            Err(error) => {
                self.see(Kind::Odd, format!("{place}: {error}"));
                return false;
            }
        };
        self.see(Kind::Good, format!("{place}: connected"));
        self.converse(&place, connected).await
    }

    async fn connect(&self, target: &Target) -> Result<Connected, ConnectError> {
        let associations = self.resolver.associations(target).await?;
        let stream = connect::dial(&self.resolver, target).await?;
        if !target.direct {
            return Ok(Connected { socket: Socket::Tcp(stream), certificates: None, associations });
        }
        let secured = connect::handshake(anonymous_client(true), &self.pair.to, stream).await?;
        let Secured { socket, certificates } = secured;
        Ok(Connected { socket, certificates: Some(certificates), associations })
    }

    /// Until the features that come after TLS.
    async fn converse(&mut self, place: &str, connected: Connected) -> bool {
        let limits = self.config.limits.before_login();
        let settings = Arc::new(Settings {
            domains: HashSet::new(),
            secret: DialbackSecret::random(),
            limits_before_login: limits,
            limits,
            pairs: 1,
            bidi: false,
            resumption: Duration::ZERO,
        });
        let Connected { mut socket, certificates, associations } = connected;
        let mut trusted = match certificates {
            Some(chain) => Some(self.judge(place, &chain, &associations).await),
            None => None,
        };
        let nothing = Negotiable::default();
        let mut stream = Outgoing::new(settings, self.pair.clone(), nothing, trusted.is_some());
        let (mut pending, mut buffer) = (Vec::new(), Vec::new());
        loop {
            if socket.write(stream.output(), &mut buffer).await.is_err() {
                break;
            }
            if let (Some(offered), Some(trusted)) = (stream.offered(), trusted) {
                let is_decided = !associations.is_empty();
                return self.conclude(place, offered, trusted, is_decided);
            }
            match socket.read(&mut pending).await {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
            let taken = std::mem::take(&mut pending);
            let mut rest = &taken[..];
            while !rest.is_empty() {
                stream.handle_bytes(&mut rest);
                while let Some(action) = stream.poll_action() {
                    match action {
                        OutgoingAction::StartTls => {
                            rest = &[];
                            // The answer was "proceed", with which nothing waits to be sent.
                            let Some(tcp) = socket.take_tcp() else { return false };
                            let client = anonymous_client(false);
                            match connect::handshake(client, &self.pair.to, tcp).await {
                                Ok(secured) => {
                                    socket = secured.socket;
                                    let chain = secured.certificates;
                                    trusted = Some(self.judge(place, &chain, &associations).await);
                                    stream.handle_secured(nothing);
                                }
                                Err(error) => {
                                    self.see(Kind::Odd, format!("{place}: {error}"));
                                    return false;
                                }
                            }
                        }
                        OutgoingAction::Refused(refusal) => {
                            self.see(Kind::Odd, format!("{place}: {refusal:?}"));
                            return false;
                        }
                        OutgoingAction::Goodbye => stream.close(None),
                        OutgoingAction::Close(error) => {
                            let why = error.map_or("closed".into(), |error| error.to_string());
                            self.see(Kind::Odd, format!("{place}: the stream ended: {why}"));
                            return false;
                        }
                        OutgoingAction::Ready | OutgoingAction::Verified(..) => {}
                    }
                }
            }
        }
        self.see(Kind::Odd, format!("{place}: the connection ended"));
        false
    }

    async fn judge(
        &mut self,
        place: &str,
        chain: &[CertificateDer<'_>],
        associations: &Associations,
    ) -> bool {
        let Probe { verifier, resolver, now, .. } = self;
        match verifier.prove(resolver, chain, associations, &self.pair.to, *now).await {
            Ok(proof) => {
                self.see(Kind::Good, format!("{place}: its certificate is good, says {proof}"));
                true
            }
            Err(error) => {
                self.see(Kind::Odd, format!("{place}: its certificate proves nothing: {error}"));
                false
            }
        }
    }

    /// `is_decided`: by DNS, which certificate it has to be.
    fn conclude(
        &mut self,
        place: &str,
        offered: Negotiable,
        trusted: bool,
        is_decided: bool,
    ) -> bool {
        let (verdict, reason) = policy::decide(&self.config.s2s, &self.pair.to);
        if !trusted && (is_decided || verdict == policy::Verdict::Certificate) {
            let reason = if is_decided { "DNS says which one it is" } else { reason };
            self.see(Kind::Odd, format!("{place}: it would have to be good: {reason}"));
            return false;
        }
        match offered.dialback {
            true => self.see(Kind::Good, format!("{place}: it takes dialback")),
            // We showed none, and who sees none offers no EXTERNAL.
            false => self.see(
                Kind::Odd,
                format!("{place}: it takes no dialback, so our own certificate has to be good"),
            ),
        }
        true
    }
}
