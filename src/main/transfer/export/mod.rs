//! Writes a file of XEP-0227 (version 1.1), account by account and room by room.

mod elements;
mod rooms;
mod uploads;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::files::Files;
use wello_modules::pubsub_service;
use wello_store::{Account, AccountFilter, Anchor, DocumentKey, PubSubNode, Query, Store};
use wello_wire::ns;
use wello_wire::xml::{Element, write_attribute, write_element};

use self::uploads::Folder;
use super::{NS_ACCOUNT, eventing};

/// Accounts, or messages or nodes of one, held in memory.
const PAGE: u32 = 200;
/// Messages after which the operator hears that it goes on.
const PROGRESS: u64 = 50_000;

struct Export<'a> {
    config: &'a Config,
    store: &'a Store,
    files: Files,
    /// Where uploaded files go.
    folder: Folder,
    out: BufWriter<File>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    accounts: u64,
    rooms: u64,
    messages: u64,
    files: u64,
    missing: u64,
}

/// Writes the hosts of the configuration, or one of them, into a new file that only its owner can
/// read, and uploaded files beside it. Returns what is there.
pub async fn export(
    config: &Config,
    store: &Store,
    path: &Path,
    domain: Option<&str>,
) -> anyhow::Result<String> {
    if path.exists() {
        bail!("{} exists already: name a new file", path.display());
    }
    let folder = Folder::beside(path)?;
    // Under another name until it is whole.
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let _ = std::fs::remove_file(&unfinished);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
    let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    let mut export = Export {
        config,
        store,
        files: Files::open(config, store, Clock::System)?,
        folder,
        out: BufWriter::new(file),
        counts: Counts::default(),
    };
    let written = export.all(domain).await.with_context(|| path.display().to_string());
    if let Err(error) = written {
        let _ = std::fs::remove_file(&unfinished);
        export.folder.remove();
        return Err(error);
    }
    std::fs::rename(&unfinished, path)?;
    let Counts { accounts, rooms, messages, files, missing } = export.counts;
    if missing > 0 {
        bail!("{} is written, but {missing} uploaded files could not be read", path.display());
    }
    Ok(format!("{accounts} accounts, {rooms} rooms, {messages} messages, {files} uploaded files"))
}

impl Export<'_> {
    async fn all(&mut self, domain: Option<&str>) -> anyhow::Result<()> {
        let root =
            format!("<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{}'>", ns::PIE);
        self.raw(&root)?;
        for host in self.config.domains() {
            if domain.is_none_or(|domain| domain == host) {
                self.host(host).await?;
            }
        }
        self.raw("\n</server-data>\n")?;
        self.out.flush()?;
        Ok(self.out.get_ref().sync_all()?)
    }

    async fn host(&mut self, host: &str) -> anyhow::Result<()> {
        self.open_tag("host", &[("jid", host)])?;
        let filter = AccountFilter { domain: Some(host.to_owned()), ..AccountFilter::default() };
        let mut after: Option<String> = None;
        loop {
            let page = self.store.accounts.list(&filter, after.as_deref(), PAGE).await?;
            for account in &page {
                self.account(account).await?;
            }
            match page.last() {
                Some(last) => after = Some(last.jid()),
                None => break,
            }
        }
        self.rooms(host).await?;
        self.service(host).await?;
        self.raw("\n</host>")
    }

    async fn account(&mut self, account: &Account) -> anyhow::Result<()> {
        let jid = account.jid();
        self.open_tag("user", &[("name", &account.local)])?;
        let last = self.store.last.get(&jid).await?;
        self.element(&elements::profile(account, last.as_ref()))?;
        if let Some((credentials, _)) = self.store.accounts.credentials(&jid).await? {
            for keys in &credentials.scram {
                self.element(&elements::scram(keys))?;
            }
        }
        let roster = self.store.roster.load(&jid).await?;
        let items = roster.items.iter().map(elements::contact);
        self.element(&Element::new("query", ns::ROSTER).with_children(items))?;
        for request in self.store.roster.requests(&jid).await? {
            self.stored(&request.stanza)?;
        }
        self.documents(&jid).await?;
        self.eventing(&jid).await?;
        let blocked = self.store.blocking.list(&jid).await?;
        if !blocked.is_empty() {
            self.element(&elements::privacy(&blocked))?;
        }
        if let Some(prefs) = self.store.archive.prefs(&jid).await? {
            self.element(&elements::preferences(&prefs))?;
        }
        self.uploads(&jid).await?;
        self.offline(&jid).await?;
        self.archive(&jid).await?;
        self.counts.accounts += 1;
        self.raw("\n</user>")
    }

    async fn documents(&mut self, jid: &str) -> anyhow::Result<()> {
        let mut private = Element::new("query", ns::PRIVATE);
        for (key, xml) in self.store.documents.list(jid).await? {
            let Some(element) = parsed(&xml) else { continue };
            match key {
                DocumentKey::Private { .. } => private.push(element),
                DocumentKey::VCardTemp => self.element(&element)?,
            }
        }
        if private.children().next().is_some() { self.element(&private) } else { Ok(()) }
    }

    /// The nodes of the PubSub service of a host.
    async fn service(&mut self, host: &str) -> anyhow::Result<()> {
        let jid = pubsub_service(host);
        if self.store.pubsub.nodes(&jid, "", 1).await?.is_empty() {
            return Ok(());
        }
        self.open_tag("nodes", &[("xmlns", NS_ACCOUNT), ("jid", &jid)])?;
        self.eventing(&jid).await?;
        self.raw("\n</nodes>")
    }

    async fn eventing(&mut self, jid: &str) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let page = self.store.pubsub.nodes(jid, &after, PAGE).await?;
            match page.last() {
                Some(last) => after.clone_from(&last.name),
                None => return Ok(()),
            }
            self.nodes(&page).await?;
        }
    }

    async fn nodes(&mut self, nodes: &[PubSubNode]) -> anyhow::Result<()> {
        let mut owned = Vec::new();
        for node in nodes {
            owned.extend(eventing::node_parts(self.store, node).await?);
        }
        self.element(&eventing::owned(owned))?;
        for node in nodes {
            let mut after = None;
            // One for each piece, as whoever reads it holds a piece in memory.
            while let Some((items, last)) = eventing::items_after(self.store, node, after).await? {
                self.element(&Element::new("pubsub", ns::PUBSUB).with_child(items))?;
                after = Some(last);
            }
        }
        Ok(())
    }

    async fn offline(&mut self, jid: &str) -> anyhow::Result<()> {
        if self.store.offline.usage(jid).await?.messages == 0 {
            return Ok(());
        }
        let domain = jid.rsplit_once('@').map_or(jid, |(_, domain)| domain);
        self.raw("\n<offline-messages>")?;
        let mut after = None;
        loop {
            let page = self.store.offline.page(jid, after, PAGE).await?;
            for message in &page {
                let Some(stanza) = parsed(&message.stanza) else { continue };
                let delay = Element::new("delay", ns::DELAY)
                    .with_attr("from", domain)
                    .with_attr("stamp", message.time.to_string());
                self.element(&stanza.with_child(delay))?;
                self.count_message();
            }
            match page.last() {
                Some(last) => after = Some(last.id),
                None => break,
            }
        }
        self.raw("\n</offline-messages>")
    }

    async fn archive(&mut self, jid: &str) -> anyhow::Result<()> {
        if self.store.archive.bounds(jid).await?.is_none() {
            return Ok(());
        }
        self.raw(&format!("\n<archive xmlns='{}'>", ns::PIE_MAM))?;
        let mut anchor = Anchor::First;
        loop {
            let query = Query { owner: jid.to_owned(), anchor, max: PAGE, ..Query::default() };
            let page = self.store.archive.query(&query).await?;
            for message in &page.messages {
                let Some(stanza) = parsed(&message.stanza) else { continue };
                let delay =
                    Element::new("delay", ns::DELAY).with_attr("stamp", message.time.to_string());
                let forwarded =
                    Element::new("forwarded", ns::FORWARD).with_child(delay).with_child(stanza);
                let result = Element::new("result", ns::MAM)
                    .with_attr("id", message.id.to_string())
                    .with_child(forwarded);
                self.element(&result)?;
                self.count_message();
            }
            match page.last() {
                Some(last) if !page.complete => anchor = Anchor::After(last),
                _ => break,
            }
        }
        self.raw("\n</archive>")
    }

    /// What was stored as XML; nothing that cannot be read back leaves the server.
    fn stored(&mut self, xml: &[u8]) -> anyhow::Result<()> {
        match parsed(xml) {
            Some(element) => self.element(&element),
            None => Ok(()),
        }
    }

    fn element(&mut self, element: &Element) -> anyhow::Result<()> {
        let mut bytes = vec![b'\n'];
        write_element(&mut bytes, element, ns::PIE);
        Ok(self.out.write_all(&bytes)?)
    }

    fn count_message(&mut self) {
        self.counts.messages += 1;
        if self.counts.messages.is_multiple_of(PROGRESS) {
            let Counts { accounts, messages, .. } = self.counts;
            eprintln!("{accounts} accounts, {messages} messages so far");
        }
    }

    fn open_tag(&mut self, tag: &str, attributes: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut bytes = format!("\n<{tag}").into_bytes();
        for (name, value) in attributes {
            write_attribute(&mut bytes, name, value);
        }
        bytes.push(b'>');
        Ok(self.out.write_all(&bytes)?)
    }

    fn raw(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.out.write_all(text.as_bytes())?)
    }
}

fn parsed(xml: &[u8]) -> Option<Element> {
    str::from_utf8(xml).ok()?.parse().ok()
}
