//! A server with all modules and its client for HTTPS, without listeners.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tempfile::TempDir;
use wello_http::Web;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, Session};
use wello_net::c2s::C2sServer;
use wello_net::outbound::OutboundClient;
use wello_net::tls::{CertificateStore, HostTls, TlsAcceptor, TlsOptions, roots_from_file};
use wello_store::{Options, Role, Store, Timestamp};
use wello_stream::c2s::ResourceWish;
use wello_wire::jid::BareJid;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use crate::fakes::Fake;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub kernel: Arc<Kernel>,
    pub clock: Clock,
    pub dir: TempDir,
}

/// A file of the test's folder.
pub fn file(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

impl Server {
    /// `push` is the section of that name; `private` are the hosts that may be on this machine.
    pub async fn start(dir: TempDir, fake: &Fake, private: &[&str], push: &str) -> Server {
        let root = file(&dir, "root.pem", &fake.certificate);
        let text = format!(
            "hosts = ['wello.example']\ndata_dir = {:?}\n[push]\nprivate_hosts = {private:?}\n{push}",
            dir.path(),
        );
        let config = Config::parse(&text, []).unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let (modules, metrics) = (wello_modules::all(&config), Arc::new(Metrics::default()));
        let kernel = Kernel::with_clock(config, store, metrics, modules, clock.clone());
        let kernel = kernel.await.unwrap();
        for name in ["romeo", "juliet"] {
            kernel.accounts.create(&bare(name), "correct horse", Role::User).await.unwrap();
        }
        let hosts = kernel.config.push.private_hosts.clone();
        let client = OutboundClient::new(roots_from_file(&root).unwrap(), hosts).unwrap();
        kernel.outbound.install(Arc::new(client));
        Server { kernel, clock, dir }
    }

    pub async fn session(&self, name: &str, resource: &str) -> Arc<Session> {
        let wish = ResourceWish::Exactly(resource.to_owned());
        self.kernel.bind(&bare(name), &wish, ClientInfo::default()).await.unwrap()
    }

    /// Asks from a session; returns the answer.
    pub async fn ask(&self, session: &Arc<Session>, to: &str, payload: &str) -> Stanza {
        let to = if to.is_empty() { String::new() } else { format!("to='{to}'") };
        let iq = format!("<iq xmlns='jabber:client' type='set' id='q' {to}>{payload}</iq>");
        self.say(session, &iq).await;
        next(session).await
    }

    pub async fn say(&self, session: &Arc<Session>, xml: &str) {
        let stanza = Stanza::from_element(xml.parse().unwrap()).unwrap();
        self.kernel.handle_client(session, stanza).await.unwrap();
    }

    /// Runs a command of the app server; returns the fields of its result.
    pub async fn command(
        &self,
        session: &Arc<Session>,
        node: &str,
        fields: &[(&str, &str)],
    ) -> Stanza {
        let field = |(var, value): &(&str, &str)| {
            let value = value.replace('&', "&amp;");
            format!("<field var='{var}'><value>{value}</value></field>")
        };
        let fields: String = fields.iter().map(field).collect();
        let payload = format!(
            "<command xmlns='http://jabber.org/protocol/commands' node='{node}' action='execute'>\
             <x xmlns='jabber:x:data' type='submit'>{fields}</x></command>"
        );
        self.ask(session, "push.wello.example", &payload).await
    }

    /// Node and secret of a device that is registered.
    pub async fn register(
        &self,
        session: &Arc<Session>,
        node: &str,
        fields: &[(&str, &str)],
    ) -> (String, String) {
        let answer = self.command(session, node, fields).await;
        let (node, secret) = (value(&answer, "node"), value(&answer, "secret"));
        assert_eq!(value(&answer, "jid"), "push.wello.example");
        (node, secret)
    }

    /// Publishes as the user's server does; the error's condition if it is one.
    pub async fn publish(&self, node: &str, secret: &str, kind: &str) -> Option<String> {
        let pubsub = format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item>\
             <notification xmlns='urn:xmpp:push:0'>\
             <x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
             <field var='message-count'><value>2</value></field>\
             <field var='last-message-sender'><value>juliet@wello.example</value></field>\
             <field var='last-message-body'><value>a secret</value></field></x>\
             <wake xmlns='urn:wello:push:0' kind='{kind}'/></notification></item></publish>\
             <publish-options><x xmlns='jabber:x:data' type='submit'>\
             <field var='secret'><value>{secret}</value></field></x></publish-options></pubsub>"
        );
        let (from, to) = ("wello.example", "push.wello.example");
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let payload: Element = pubsub.parse().unwrap();
        let answer = self.kernel.ask(from, to, IqType::Set, payload, PATIENCE).await.unwrap();
        let error = answer.child("error", "jabber:client")?;
        error.children().map(|child| child.name().to_owned()).find(|name| name != "text")
    }

    /// What is reached by HTTP.
    pub async fn web(&self) -> Web {
        let host = HostTls { domain: "wello.example".into(), files: None, acme: false };
        let options = TlsOptions {
            data_dir: self.dir.path().into(),
            hosts: vec![host],
            client_certificates: false,
            tls12: false,
        };
        let certificates = CertificateStore::open(options, std::time::SystemTime::now()).unwrap();
        let acceptor = TlsAcceptor::new(Arc::new(certificates), PATIENCE);
        let (kernel, roots) = (Arc::clone(&self.kernel), RootCertStore::empty());
        let c2s = C2sServer::new(kernel, acceptor, roots, Default::default()).await.unwrap();
        Web::new(Arc::clone(&self.kernel), c2s).unwrap()
    }

    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }
}

pub fn bare(name: &str) -> BareJid {
    format!("{name}@wello.example").parse().unwrap()
}

/// The next stanza for a session.
pub async fn next(session: &Arc<Session>) -> Stanza {
    let wait = async {
        loop {
            match session.inbox().take() {
                Some(Delivery::Stanza(stanza)) => return stanza,
                Some(_) => {}
                None => session.inbox().arrived().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("a stanza")
}

/// A field of the form in the answer to a command.
pub fn value(answer: &Stanza, var: &str) -> String {
    let command = answer.child("command", "http://jabber.org/protocol/commands");
    let form = command.and_then(|command| command.child("x", "jabber:x:data"));
    let form = form.unwrap_or_else(|| panic!("{answer:?}"));
    let field = form.children().find(|field| field.attr("var") == Some(var)).unwrap();
    field.child("value", "jabber:x:data").unwrap().text().into_owned()
}
