//! Writes a file of XEP-0227 (version 1.1), account by account.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use wello_store::{
    Account, AccountFilter, AccountStatus, Anchor, DocumentKey, Query, RosterItem, ScramKeys, Store,
};
use wello_stream::sasl::{ScramHash, encoding};
use wello_wire::ns;
use wello_wire::xml::{Element, write_attribute, write_element};

use super::{NS_ACCOUNT, NS_PRIVACY, eventing};

/// Accounts, or messages of one, held in memory.
const PAGE: u32 = 200;

/// The privacy list that says whom an account blocks.
const LIST: &str = "blocked";

struct Export<'a> {
    store: &'a Store,
    out: BufWriter<File>,
    accounts: u64,
    messages: u64,
}

/// Writes all accounts, or those of one domain, into a new file that only its owner can read.
/// Returns what is in it.
pub async fn export(store: &Store, path: &Path, domain: Option<&str>) -> anyhow::Result<String> {
    if path.exists() {
        bail!("{} exists already: name a new file", path.display());
    }
    // Under another name until it is whole.
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let _ = std::fs::remove_file(&unfinished);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
    let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    let mut export = Export { store, out: BufWriter::new(file), accounts: 0, messages: 0 };
    let written = export.all(domain).await.with_context(|| path.display().to_string());
    if let Err(error) = written {
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    std::fs::rename(&unfinished, path)?;
    Ok(format!("{} accounts, {} messages", export.accounts, export.messages))
}

impl Export<'_> {
    async fn all(&mut self, domain: Option<&str>) -> anyhow::Result<()> {
        let root =
            format!("<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{}'>", ns::PIE);
        self.raw(&root)?;
        let filter =
            AccountFilter { domain: domain.map(str::to_owned), ..AccountFilter::default() };
        let mut host: Option<String> = None;
        let mut after: Option<String> = None;
        loop {
            let page = self.store.accounts.list(&filter, after.as_deref(), PAGE).await?;
            for account in &page {
                // They are ordered by domain.
                if host.as_ref() != Some(&account.domain) {
                    if host.is_some() {
                        self.raw("\n</host>")?;
                    }
                    self.open_tag("host", "jid", &account.domain)?;
                    host = Some(account.domain.clone());
                }
                self.account(account).await?;
            }
            match page.last() {
                Some(last) => after = Some(last.jid()),
                None => break,
            }
        }
        if host.is_some() {
            self.raw("\n</host>")?;
        }
        self.raw("\n</server-data>\n")?;
        self.out.flush()?;
        Ok(self.out.get_ref().sync_all()?)
    }

    async fn account(&mut self, account: &Account) -> anyhow::Result<()> {
        let jid = account.jid();
        self.open_tag("user", "name", &account.local)?;
        self.element(&profile(account))?;
        if let Some((credentials, _)) = self.store.accounts.credentials(&jid).await? {
            for keys in &credentials.scram {
                self.element(&scram(keys))?;
            }
        }
        let roster = self.store.roster.load(&jid).await?;
        let items = roster.items.iter().map(contact);
        self.element(&Element::new("query", ns::ROSTER).with_children(items))?;
        for request in self.store.roster.requests(&jid).await? {
            self.stored(&request.stanza)?;
        }
        self.documents(&jid).await?;
        self.eventing(&jid).await?;
        let blocked = self.store.blocking.list(&jid).await?;
        if !blocked.is_empty() {
            self.element(&privacy(&blocked))?;
        }
        self.offline(&jid).await?;
        self.archive(&jid).await?;
        self.accounts += 1;
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

    async fn eventing(&mut self, jid: &str) -> anyhow::Result<()> {
        let nodes = self.store.pubsub.nodes(jid, "", u32::MAX).await?;
        if nodes.is_empty() {
            return Ok(());
        }
        let mut owner = Element::new("pubsub", ns::PUBSUB_OWNER);
        for node in &nodes {
            owner = owner.with_children(eventing::node_parts(self.store, node).await?);
        }
        self.element(&owner)?;
        for node in &nodes {
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
                self.messages += 1;
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
                self.messages += 1;
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

    fn open_tag(&mut self, tag: &str, attribute: &str, value: &str) -> anyhow::Result<()> {
        let mut bytes = format!("\n<{tag}").into_bytes();
        write_attribute(&mut bytes, attribute, value);
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

fn profile(account: &Account) -> Element {
    let status = Some(account.status).filter(|status| *status != AccountStatus::Active);
    Element::new("account", NS_ACCOUNT)
        .with_attr("role", account.role.as_str())
        .with_attr_opt("status", status.map(AccountStatus::as_str))
        .with_attr("created", account.created.to_string())
        .with_attr_opt("display-name", account.display_name.as_deref())
        .with_attr_opt("email", account.email.as_deref())
}

/// Section 4.3. Of the keys for several ways to prepare a password the first is that of RFC 5802,
/// and others know no more than one.
fn scram(keys: &ScramKeys) -> Element {
    let hash = ScramHash::ALL.into_iter().find(|hash| hash.mechanism_name() == keys.mechanism);
    let length = hash.map_or(usize::MAX, ScramHash::output_len);
    let key = |name: &'static str, bytes: &[u8]| {
        let first = &bytes[..bytes.len().min(length)];
        Element::new(name, ns::PIE_SCRAM).with_text(encoding::encode(first))
    };
    Element::new("scram-credentials", ns::PIE_SCRAM)
        .with_attr("mechanism", keys.mechanism.as_str())
        .with_child(
            Element::new("iter-count", ns::PIE_SCRAM).with_text(keys.iterations.to_string()),
        )
        .with_child(Element::new("salt", ns::PIE_SCRAM).with_text(encoding::encode(&keys.salt)))
        .with_child(key("server-key", &keys.server_key))
        .with_child(key("stored-key", &keys.stored_key))
}

fn contact(item: &RosterItem) -> Element {
    let groups = item.groups.iter();
    let groups = groups.map(|group| Element::new("group", ns::ROSTER).with_text(group.as_str()));
    Element::new("item", ns::ROSTER)
        .with_attr("jid", item.jid.as_str())
        .with_attr_opt("name", item.name.as_deref())
        .with_attr("subscription", item.subscription.as_str())
        .with_attr_opt("ask", item.ask.then_some("subscribe"))
        .with_attr_opt("approved", item.approved.then_some("true"))
        .with_children(groups)
}

/// Section 4.7: blocking is written as a privacy list, which is what the specification knows.
fn privacy(blocked: &[String]) -> Element {
    let deny = |(order, jid): (usize, &String)| {
        Element::new("item", NS_PRIVACY)
            .with_attr("type", "jid")
            .with_attr("value", jid.as_str())
            .with_attr("action", "deny")
            .with_attr("order", (order + 1).to_string())
    };
    let others = Element::new("item", NS_PRIVACY)
        .with_attr("action", "allow")
        .with_attr("order", (blocked.len() + 1).to_string());
    let list = Element::new("list", NS_PRIVACY)
        .with_attr("name", LIST)
        .with_children(blocked.iter().enumerate().map(deny))
        .with_child(others);
    Element::new("query", NS_PRIVACY)
        .with_child(Element::new("default", NS_PRIVACY).with_attr("name", LIST))
        .with_child(list)
}
