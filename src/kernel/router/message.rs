//! Messages: the stages from Rewrite to After.

use std::sync::Arc;

use wello_store::{ArchiveId, Entry, Owner, Ticket};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::delay::Delay;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::Target;
use super::delivery::{Verdict, decide};
use crate::Kernel;
use crate::hooks::Flow;
use crate::passage::{Passage, Record, Side};
use crate::sessions::{EndReason, Session};

impl Kernel {
    pub(super) async fn route_message(
        self: &Arc<Self>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let mut passage = self.begin(stanza, session)?;
        let outcome = match self.guard(&passage.stanza).await {
            Flow::Next => self.pass(&mut passage).await,
            Flow::Handled => Ok(()),
            Flow::Refuse(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.refuse(session, &passage.stanza, &error).await;
        }
        passage.ticket
    }

    fn begin(&self, stanza: Stanza, session: Option<&Arc<Session>>) -> Option<Passage> {
        let from = stanza.from.as_ref()?;
        stanza.to.as_ref()?;
        let sender = match self.resolve(from) {
            Target::Account => Some(from.bare()),
            _ => None,
        };
        Some(Passage {
            stanza,
            session: session.cloned(),
            sender,
            recipient: None,
            recipient_sessions: Arc::new([]),
            held: false,
            targets: Vec::new(),
            copies: Vec::new(),
            record: Record::default(),
            ticket: None,
        })
    }

    async fn pass(self: &Arc<Self>, passage: &mut Passage) -> Result<(), StanzaError> {
        for hook in &self.hooks.rewrites {
            hook.rewrite(self, passage);
        }
        let Some(to) = passage.stanza.to.clone() else { return Ok(()) };
        match self.resolve(&to) {
            Target::Account => self.pass_to_account(passage, &to).await,
            Target::Host => Err(StanzaError::service_unavailable("")),
            Target::Service(service) => {
                self.run_copy_and_archive(passage).await;
                self.write_record(passage).await?;
                self.deliver_copies(passage);
                let stanza = passage.stanza.clone();
                let theirs = service.handle(self, stanza, passage.session.as_ref()).await;
                // Tickets are done in the order in which they are given out.
                passage.ticket = theirs.or(passage.ticket.take());
                self.run_after(passage).await;
                Ok(())
            }
            Target::Remote => {
                self.send_remote(passage.stanza.clone()).await?;
                self.run_copy_and_archive(passage).await;
                self.write_record(passage).await?;
                self.deliver_copies(passage);
                self.run_after(passage).await;
                Ok(())
            }
        }
    }

    async fn pass_to_account(
        self: &Arc<Self>,
        passage: &mut Passage,
        to: &Jid,
    ) -> Result<(), StanzaError> {
        let unavailable = || StanzaError::service_unavailable("");
        passage.recipient_sessions = self.sessions.of(to);
        let recipient = to.bare();
        if passage.recipient_sessions.is_empty() && !self.accounts.exists(&recipient).await {
            return Err(unavailable());
        }
        passage.recipient = Some(recipient);
        for hook in &self.hooks.screens {
            match hook.screen(self, passage).await {
                Flow::Next => {}
                Flow::Handled => return Ok(()),
                Flow::Refuse(error) => return Err(error),
            }
        }
        if passage.held {
            return self.hold(passage).await;
        }
        let type_ = passage.stanza.message_type();
        let (verdict, reason) = decide(type_, to, &passage.recipient_sessions);
        tracing::trace!(%to, ?type_, reason, "message routed");
        match verdict {
            Verdict::Deliver(targets) => passage.targets = targets,
            Verdict::Store => {}
            Verdict::Refuse => return Err(unavailable()),
            Verdict::Ignore => return Ok(()),
        }
        self.run_copy_and_archive(passage).await;
        if passage.targets.is_empty() {
            self.run_undelivered(passage).await?;
        }
        self.write_record(passage).await?;
        self.deliver(passage).await;
        self.deliver_copies(passage);
        self.run_after(passage).await;
        Ok(())
    }

    /// Into the archives, and to nobody.
    async fn hold(self: &Arc<Self>, passage: &mut Passage) -> Result<(), StanzaError> {
        self.run_copy_and_archive(passage).await;
        // What the recipient's archive does not keep, they would never find.
        if passage.record.recipient_id.is_none() {
            return Err(StanzaError::service_unavailable(""));
        }
        self.write_record(passage).await?;
        for hook in &self.hooks.screens {
            hook.held(self, passage).await;
        }
        self.deliver_copies(passage);
        self.run_after(passage).await;
        Ok(())
    }

    async fn run_copy_and_archive(self: &Arc<Self>, passage: &mut Passage) {
        for hook in &self.hooks.copies {
            hook.copy(self, passage);
        }
        for hook in &self.hooks.archives {
            hook.archive(self, passage).await;
        }
    }

    async fn run_undelivered(self: &Arc<Self>, passage: &mut Passage) -> Result<(), StanzaError> {
        for hook in &self.hooks.undelivered {
            match hook.undelivered(self, passage).await {
                Flow::Next => {}
                Flow::Handled => return Ok(()),
                Flow::Refuse(error) => return Err(error),
            }
        }
        // What is in the recipient's archive will be found there.
        if passage.record.recipient_id.is_some() {
            return Ok(());
        }
        Err(StanzaError::service_unavailable("recipient is not available"))
    }

    async fn run_after(self: &Arc<Self>, passage: &Passage) {
        for hook in &self.hooks.afters {
            hook.after(self, passage).await;
        }
    }

    /// Hands the message to the store's next batch; does not wait for the disk.
    async fn write_record(self: &Arc<Self>, passage: &mut Passage) -> Result<(), StanzaError> {
        if passage.record.is_empty() {
            return Ok(());
        }
        let entry = self.entry(passage);
        match self.store.archive.append(entry).await {
            Ok(ticket) => {
                passage.ticket = Some(ticket);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "message not stored");
                Err(StanzaError::internal_server_error("message could not be stored"))
            }
        }
    }

    fn entry(&self, passage: &Passage) -> Entry {
        let stanza = &passage.stanza;
        let text = |jid: &Option<Jid>| jid.as_ref().map(Jid::to_string).unwrap_or_default();
        let bare = |jid: &Option<Jid>| {
            jid.as_ref().map(|jid| jid.bare_str().to_owned()).unwrap_or_default()
        };
        let mut owners = Vec::with_capacity(2);
        if let (Some(id), Some(owner)) = (passage.record.sender_id, &passage.sender) {
            let with = bare(&stanza.to);
            owners.push(Owner { owner: owner.to_string(), archive_id: id, with });
        }
        if let (Some(id), Some(owner)) = (passage.record.recipient_id, &passage.recipient) {
            let with = bare(&stanza.from);
            owners.push(Owner { owner: owner.to_string(), archive_id: id, with });
        }
        let origin_id = stanza.child("origin-id", ns::STANZA_ID).and_then(|id| id.attr("id"));
        Entry {
            stanza: stanza.to_bytes().into(),
            time: self.clock.now(),
            from: text(&stanza.from),
            to: text(&stanza.to),
            kind: stanza.message_type().into(),
            message_id: stanza.id.as_ref().map(ToString::to_string),
            origin_id: origin_id.map(str::to_owned),
            text: passage.record.text.clone(),
            owners,
            offline_for: match &passage.recipient {
                Some(recipient) if passage.record.offline => Some(recipient.to_string()),
                _ => None,
            },
            offline_id: passage.record.recipient_id.or(passage.record.archived),
        }
    }

    async fn deliver(self: &Arc<Self>, passage: &Passage) {
        let stamped =
            stamp(&passage.stanza, passage.recipient.as_ref(), passage.record.recipient_id);
        for target in &passage.targets {
            if !self.post(target, stamped.clone()) {
                self.return_undelivered(target, [stamped.clone()]).await;
            }
        }
    }

    fn deliver_copies(self: &Arc<Self>, passage: &Passage) {
        for copy in &passage.copies {
            let (owner, id) = match copy.side {
                Side::Sender => (&passage.sender, passage.record.sender_id),
                Side::Recipient => (&passage.recipient, passage.record.recipient_id),
            };
            let stamped = stamp(&passage.stanza, owner.as_ref(), id);
            self.post(&copy.session, (copy.wrap)(&stamped, &copy.session));
        }
    }

    /// Posts to a session; one that cannot take it is ended, since its client does not read.
    pub fn post(&self, session: &Arc<Session>, stanza: Stanza) -> bool {
        self.metrics.stanzas_sent.count(stanza.kind);
        let posted = session.post(stanza).is_ok();
        if !posted && session.end(EndReason::SlowReader) {
            tracing::info!(session = %session.id, "inbox is full, ending the session");
        }
        posted
    }

    /// Posts what a service says to the sessions that are here, in this order; `session` is the one
    /// that has asked for it. Returns what has to take the way of other stanzas: what is for other servers
    /// and bare addresses, and where it is not known at once whether an account blocks the sender.
    pub fn post_all(
        &self,
        session: Option<&Arc<Session>>,
        out: Vec<Stanza>,
        blocks: impl Fn(&str, &Jid) -> Option<bool>,
    ) -> Vec<Stanza> {
        let mut later = Vec::new();
        for stanza in out {
            let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { continue };
            if let Some(session) = session.filter(|session| *session.jid == *to) {
                session.reply(stanza);
                continue;
            }
            if to.is_bare() || !self.hosts.contains(to.domain()) {
                later.push(stanza);
                continue;
            }
            match blocks(to.bare_str(), from) {
                Some(true) => {}
                Some(false) => {
                    if let Some(target) = self.sessions.find(to) {
                        self.post(&target, stanza);
                    }
                }
                None => later.push(stanza),
            }
        }
        later
    }

    /// Takes back messages that a session never took: sessions that came later get them, and if nobody
    /// is there they wait for the account's next login (XEP-0198, section 5).
    pub async fn return_undelivered(
        self: &Arc<Self>,
        session: &Session,
        stanzas: impl IntoIterator<Item = Stanza>,
    ) {
        let elsewhere = |other: &&Arc<Session>| other.id != session.id && other.receives_bare();
        let sessions = self.sessions.of(&session.jid);
        let others: Vec<_> = sessions.iter().filter(elsewhere).cloned().collect();
        for mut stanza in stanzas {
            let archived = archive_id(&stanza, session.jid.bare_str());
            if !others.is_empty() {
                self.pass_on(stanza, archived, &others);
                continue;
            }
            stanza.stamps.clear();
            let Some(mut passage) = self.begin(stanza, None) else { continue };
            passage.record.archived = archived;
            passage.recipient = Some(session.bare());
            // Whoever sent it was told that it went through: no error now.
            if self.run_undelivered(&mut passage).await.is_ok() {
                let _ = self.write_record(&mut passage).await;
            }
        }
    }

    /// Gives a message that a session never took to the others, unless one of them has it: who was there
    /// when it came, and was sent it or a copy, or who reads the archive anyway.
    fn pass_on(&self, mut stanza: Stanza, archived: Option<ArchiveId>, others: &[Arc<Session>]) {
        let Some(came) = archived.map(ArchiveId::time) else { return };
        let was_for_all = stanza.to.as_ref().is_none_or(Jid::is_bare);
        let has_it = |other: &Arc<Session>| {
            let got = other.receives_since() < came && (was_for_all || other.carbons());
            got || other.declines_offline()
        };
        if others.iter().any(has_it) {
            return;
        }
        let Some(account) = others.first().map(|other| other.bare()) else { return };
        stanza.stamps.retain(|stamp| stamp.is("stanza-id", ns::STANZA_ID));
        stanza.stamps.push(Delay::by(came, account.domain_jid()).to_element());
        let decided = decide(stanza.message_type(), &account.into(), others).0;
        if let Verdict::Deliver(targets) = decided {
            for target in targets {
                self.post(&target, stanza.clone());
            }
        }
    }
}

/// XEP-0359, section 5: the archive's id, for the copy that goes to the archive's owner.
fn stamp(stanza: &Stanza, owner: Option<&BareJid>, id: Option<ArchiveId>) -> Stanza {
    let mut stamped = stanza.clone();
    if let (Some(owner), Some(id)) = (owner, id) {
        let by = Element::new("stanza-id", ns::STANZA_ID)
            .with_attr("id", id.to_string())
            .with_attr("by", owner.as_str());
        stamped.stamps.push(by);
    }
    stamped
}

/// The id in the archive of `owner`, which [`stamp`] gave it.
fn archive_id(stanza: &Stanza, owner: &str) -> Option<ArchiveId> {
    let mut ids = stanza.stamps.iter().filter(|stamp| stamp.is("stanza-id", ns::STANZA_ID));
    ids.find(|id| id.attr("by") == Some(owner))?.attr("id")?.parse().ok()
}
