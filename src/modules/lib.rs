//! The features, each in a file or folder of its own.

mod about;
mod archive;
mod blocking;
mod blocklists;
mod bytestreams;
mod calls;
mod caps;
mod carbons;
mod client_access;
mod commands;
mod contact;
mod delegation;
mod disco;
mod egress;
mod establishment;
mod external_services;
mod forgery;
mod guests;
mod last;
mod moved;
mod muc;
mod offline;
mod pace;
mod ping;
mod private;
mod privileges;
pub mod ptt;
mod pubsub;
pub mod push;
mod registration;
mod retention;
mod roster;
mod search;
mod serverinfo;
mod strangers;
mod time;
mod upload;
mod vcard;
mod version;
mod waiting;

use std::sync::Arc;

use wello_kernel::config::Config;
use wello_kernel::module::Module;

pub use archive::searchable_text;
pub use muc::portable as rooms;
pub use pubsub::service_of as pubsub_service;

/// All features, in the order in which their hooks run.
pub fn all(config: &Config) -> Vec<Arc<dyn Module>> {
    let caps = caps::EntityCaps::default();
    let pubsub = Arc::new(pubsub::PubSub::new(caps.clone(), &config.domains()));
    let blocking = Arc::new(blocking::Blocking::default());
    let strangers = Arc::new(strangers::Strangers::default());
    let push = Arc::new(push::Push::new(Arc::clone(&pubsub)));
    let mut modules: Vec<Arc<dyn Module>> = vec![
        Arc::new(forgery::Forgery),
        Arc::new(pace::Pace::default()),
        Arc::new(egress::Egress::default()),
        Arc::new(disco::Disco),
        Arc::new(caps),
        // Its guard is the first one: a blocked sender learns nothing from those that follow.
        Arc::clone(&blocking) as _,
        Arc::clone(&strangers) as _,
        Arc::new(roster::Roster),
        Arc::new(establishment::Establishment),
        Arc::new(ping::Ping),
        Arc::new(version::Version),
        Arc::new(time::Time),
        Arc::new(last::Last::new()),
        Arc::new(contact::Contact),
        Arc::new(serverinfo::ServerInfo::new(config, Arc::clone(&pubsub))),
        Arc::new(about::About),
        Arc::new(external_services::ExternalServices::default()),
        Arc::new(private::Private::new(Arc::clone(&pubsub))),
        Arc::new(vcard::VCard::new(Arc::clone(&pubsub))),
        Arc::clone(&pubsub) as _,
        Arc::new(carbons::Carbons),
        Arc::new(registration::Registration),
        Arc::new(client_access::ClientAccess),
        Arc::new(commands::Commands::new(Arc::clone(&pubsub), Arc::clone(&strangers))),
        Arc::clone(&push) as _,
    ];
    if config.archive.enabled {
        modules.push(Arc::new(archive::Archive::default()));
    }
    modules.push(Arc::new(offline::Offline::new(&config.offline)));
    modules.push(Arc::new(retention::Retention));
    if config.uploads.enabled {
        modules.push(Arc::new(ptt::Ptt::default()));
    }
    modules.extend(
        search::Search::new(config, Arc::clone(&blocking)).map(|search| Arc::new(search) as _),
    );
    let proxy = bytestreams::Bytestreams::new(config);
    modules.extend(proxy.map(|proxy| Arc::new(proxy) as _));
    modules.extend(upload::Upload::new(config).map(|upload| Arc::new(upload) as _));
    modules.extend(push::app_server::AppServer::new(config).map(|server| Arc::new(server) as _));
    let muc = Arc::new(muc::Muc::new(config, blocking, strangers, push));
    // The operator's word comes before that of users.
    let lists = blocklists::Blocklists::new(config, Arc::clone(&muc));
    modules.splice(0..0, lists.map(|lists| Arc::new(lists) as _));
    modules.push(Arc::clone(&muc) as _);
    if config.guests.enabled {
        modules.push(Arc::new(guests::Guests::new(Arc::clone(&muc))));
    }
    modules.extend(calls::Calls::new(config, muc).map(|calls| Arc::new(calls) as _));
    // After those that refuse, and after all whose features it replaces.
    modules.push(Arc::new(privileges::Privileges::new(config)));
    modules.push(Arc::new(delegation::Delegation::new(config)));
    // Its guard is the last one: what it takes, all others have let pass.
    modules.push(Arc::new(moved::Moved::default()));
    modules
}
