//! Keeps the certificates of all hosts fresh.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::Account;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::tls::{
    CertificateError, CertificateOrigin, CertificateStore, DnsName, HostCertificate, HostName,
    SERVICES, acme_file, check_pem, roots_from_file, system_roots, timestamp, write_file,
};

use super::AcmeOptions;
use super::account;
use super::challenge::{Answers, ChallengeStore};
use super::error::AcmeError;
use super::http_client::{AuthorityClient, SharedClient};
use super::order::{Issued, obtain};
use super::schedule::{pause_after, renewal_time};

/// Tells the time of day.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The time of day may be set, and machines may sleep: look at the calendar this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
const SHORTEST_SLEEP: Duration = Duration::from_secs(1);
/// A failure this close to the expiry is worth waking someone up.
const URGENT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Obtains certificates, renews them, and puts them into the store.
pub struct AcmeManager {
    options: AcmeOptions,
    answers: Answers,
    client: SharedClient,
    now: Now,
    account: Option<Account>,
    hosts: Vec<Host>,
}

struct Host {
    domain: String,
    name: DnsName,
    failures: u32,
    /// Not before this time, after a failure.
    hold: Option<SystemTime>,
}

impl AcmeManager {
    /// `store` must have been opened with `acme` set for the hosts in question. `challenges` is
    /// to be served by the HTTP listeners. Blocks on files.
    pub fn new(
        options: AcmeOptions,
        store: Arc<CertificateStore>,
        challenges: Arc<ChallengeStore>,
        now: Now,
    ) -> Result<Self, AcmeError> {
        let roots = match &options.root {
            Some(path) => roots_from_file(path)?,
            None => system_roots()?,
        };
        let client = SharedClient(Arc::new(AuthorityClient::new(roots)?));
        Self::with_client(options, store, challenges, now, client)
    }

    pub(super) fn with_client(
        options: AcmeOptions,
        store: Arc<CertificateStore>,
        challenges: Arc<ChallengeStore>,
        now: Now,
        client: SharedClient,
    ) -> Result<Self, AcmeError> {
        let host = |domain: &String| match DnsName::new(domain) {
            Some(name) => Ok(Host { domain: domain.clone(), name, failures: 0, hold: None }),
            None => Err(CertificateError::BadDomain { domain: domain.clone() }),
        };
        let hosts = options.domains.iter().map(host).collect::<Result<_, _>>()?;
        let answers = Answers { kind: options.challenge, http: challenges, tls: store };
        Ok(Self { options, answers, client, now, account: None, hosts })
    }

    /// Works until `shutdown` is over. To be started when the listeners are.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = shutdown => {}
            never = self.work() => match never {},
        }
    }

    async fn work(&mut self) -> Infallible {
        loop {
            for index in 0..self.hosts.len() {
                if self.due(&self.hosts[index]) <= (self.now)() {
                    self.renew(index).await;
                }
            }
            let Some(next) = self.hosts.iter().map(|host| self.due(host)).min() else {
                return pending().await;
            };
            let wait = next.duration_since((self.now)()).unwrap_or_default();
            sleep(wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)).await;
        }
    }

    fn due(&self, host: &Host) -> SystemTime {
        let renewal = match self.present(host) {
            Some(present) => {
                renewal_time(present.not_before(), present.expires(), present.fingerprint())
            }
            None => SystemTime::UNIX_EPOCH,
        };
        host.hold.map_or(renewal, |hold| hold.max(renewal))
    }

    /// The certificate that the host has from us, if it is any good.
    fn present(&self, host: &Host) -> Option<Arc<HostCertificate>> {
        self.answers
            .tls
            .host(&host.domain)
            .filter(|entry| entry.origin() == CertificateOrigin::Acme && entry.problem().is_none())
    }

    async fn renew(&mut self, index: usize) {
        let name = self.hosts[index].name.clone();
        match self.obtain_and_install(&name).await {
            Ok(()) => match self.present(&self.hosts[index]) {
                Some(present) => self.note_success(index, &present),
                None => {
                    let domain = name.to_string();
                    self.note_failure(index, &AcmeError::NotInUse { domain });
                }
            },
            Err(error) => self.note_failure(index, &error),
        }
    }

    fn note_success(&mut self, index: usize, present: &HostCertificate) {
        let host = &mut self.hosts[index];
        host.failures = 0;
        // Should an authority issue what is due for renewal already, we still do not storm it.
        host.hold = Some((self.now)() + pause_after(1, false));
        let expires = timestamp(present.expires());
        tracing::info!(domain = %host.domain, %expires, "certificate obtained by ACME");
    }

    fn note_failure(&mut self, index: usize, error: &AcmeError) {
        let now = (self.now)();
        if error.problem_type() == Some("accountDoesNotExist") {
            account::forget(&self.options);
        }
        // The next attempt reads the account and the directory afresh.
        self.account = None;
        let expires = self.present(&self.hosts[index]).map(|present| present.expires());
        let host = &mut self.hosts[index];
        host.failures = host.failures.saturating_add(1);
        let rate_limited = error.problem_type() == Some("rateLimited");
        let hold = now + pause_after(host.failures, rate_limited);
        host.hold = Some(hold);
        let (domain, again) = (&host.domain, timestamp(hold));
        match expires {
            Some(expires) if now + URGENT < expires => {
                tracing::warn!(%domain, %error, %again, "certificate not renewed by ACME");
            }
            _ => tracing::error!(%domain, %error, %again, "no certificate by ACME"),
        }
    }

    async fn obtain_and_install(&mut self, domain: &DnsName) -> Result<(), AcmeError> {
        let account = match &self.account {
            Some(account) => account.clone(),
            None => {
                let opened = account::open(&self.options, self.client.clone()).await?;
                self.account.insert(opened).clone()
            }
        };
        let services = SERVICES.iter().filter_map(|service| {
            // A name of more than 253 characters is no name.
            DnsName::new(&format!("{service}.{domain}"))
        });
        let mut names: Vec<DnsName> = [domain.clone()].into_iter().chain(services).collect();
        loop {
            match obtain(&account, &names, &self.answers).await {
                Ok(issued) => return self.install(domain, issued).await,
                Err(AcmeError::Refused(refusals)) => {
                    let before = names.len();
                    names.retain(|name| refusals.iter().all(|r| r.name != name.as_str()));
                    if names.len() == before || !names.contains(domain) {
                        return Err(AcmeError::Refused(refusals));
                    }
                    // Services without a DNS record of their own are common, and work.
                    for refusal in refusals {
                        tracing::info!(%domain, %refusal, "certificate will not cover this name");
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn install(&self, domain: &DnsName, issued: Issued) -> Result<(), AcmeError> {
        let store = Arc::clone(&self.answers.tls);
        let host = HostName::Dns(domain.clone());
        let path: PathBuf = acme_file(&self.options.data_dir, &host);
        let now = (self.now)();
        let written = spawn_blocking(move || {
            let pem = format!("{}{}", issued.key_pem, issued.chain_pem);
            // A bad certificate must not replace a good one.
            check_pem(pem.as_bytes(), &path, &host, now)?;
            write_file(&path, pem.as_bytes(), 0o600)?;
            store.reload(now);
            Ok::<(), CertificateError>(())
        });
        match written.await {
            Ok(result) => Ok(result?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}
