//! Credentials for external services that come to an end (XEP-0215), with all modules and without
//! sockets.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, Session};
use wello_store::{Options, Role, Store, Timestamp};
use wello_stream::c2s::ResourceWish;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::Stanza;

const HOUR_MICROS: i64 = 3600 * 1_000_000;

fn expires(iq: &Stanza) -> Option<String> {
    let service = iq.child("services", ns::EXTDISCO)?.child("service", ns::EXTDISCO)?;
    service.attr("expires").map(str::to_owned)
}

fn next(session: &Session) -> Option<Stanza> {
    match session.inbox().take()? {
        Delivery::Stanza(stanza) => Some(stanza),
        _ => None,
    }
}

/// Runs the chores for two minutes of their time.
async fn run_chores(kernel: &Arc<Kernel>) {
    tokio::time::pause();
    tokio::select! {
        () = kernel.run_chores() => {}
        () = tokio::time::sleep(Duration::from_secs(120)) => {}
    }
    tokio::time::resume();
}

#[tokio::test]
async fn who_asked_for_a_type_gets_new_credentials_before_the_old_ones_end() {
    let text = "hosts = ['wello.example']\n[[external_service]]\ntype = 'turn'\nhost = 'turn.example'\n\
                secret = 'north'\ncredentials_hours = 1\n\
                [[external_service]]\ntype = 'turns'\nhost = 'turn.example'\n\
                secret = 'north'\ncredentials_hours = 1";
    let config = Config::parse(text, []).unwrap();
    let dir = TempDir::new().unwrap();
    let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let (modules, metrics) = (wello_modules::all(&config), Arc::new(Metrics::default()));
    let kernel = Kernel::with_clock(config, store, metrics, modules, clock.clone());
    let kernel = kernel.await.unwrap();
    let romeo: BareJid = "romeo@wello.example".parse().unwrap();
    kernel.accounts.create(&romeo, "correct horse", Role::User).await.unwrap();
    let bind =
        async || kernel.bind(&romeo, &ResourceWish::Any, ClientInfo::default()).await.unwrap();
    let (phone, laptop) = (bind().await, bind().await);
    let asked = [(&phone, "type='turn'"), (&phone, "type='turns'"), (&laptop, "")];
    for (session, kind) in asked {
        let iq = format!(
            "<iq xmlns='jabber:client' type='get' id='1' to='wello.example'>\
             <services xmlns='urn:xmpp:extdisco:2' {kind}/></iq>"
        );
        let iq = Stanza::from_element(iq.parse().unwrap()).unwrap();
        kernel.handle_client(session, iq).await.unwrap();
        assert_eq!(expires(&next(session).unwrap()).unwrap(), "2027-01-15T09:00:00Z");
    }

    run_chores(&kernel).await;
    assert!(next(&phone).is_none());

    clock.advance(HOUR_MICROS * 50 / 60);
    run_chores(&kernel).await;
    let mut kinds = Vec::new();
    while let Some(push) = next(&phone) {
        assert_eq!(expires(&push).unwrap(), "2027-01-15T09:50:00Z");
        let services = push.child("services", ns::EXTDISCO).unwrap();
        let service = services.child("service", ns::EXTDISCO).unwrap();
        assert_eq!(service.attr("action"), Some("modify"));
        kinds.push(services.attr("type").unwrap().to_owned());
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["turn", "turns"], "each once");
    assert!(next(&laptop).is_none(), "section 3.2: only who asked for a type");
}
