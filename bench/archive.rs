//! Pages of a large archive (XEP-0313).

use std::{
    rc::Rc,
    time::{Duration, SystemTime},
};

use anyhow::{Result, bail, ensure};
use jiff::Timestamp;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    client::{Account, Client},
    histogram::Histogram,
    message::Template,
    pairs::{DRAIN, Flow, Load, Until},
    peer::Peer,
    scanner::{attr, has, text},
    sender::Sender,
};

/// Who writes to the owner of the archive.
const CONTACTS: usize = 50;

/// Messages of each contact between two looks at the clock.
const PORTION: u32 = 500;

/// A server that cannot store as many as are wanted is not given longer than this.
const FILLING: Duration = Duration::from_secs(90);

/// Messages of a page.
const PAGE: usize = 50;

/// What is asked for, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Last,
    Before,
    After,
    With,
    Since,
}

pub(crate) const KINDS: [Kind; 5] =
    [Kind::Last, Kind::Before, Kind::After, Kind::With, Kind::Since];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Before => "before an id",
            Self::After => "after an id",
            Self::With => "last with a contact",
            Self::Since => "since a moment",
        }
    }
}

/// A full archive.
pub(crate) struct Archive {
    pub(crate) messages: u64,
    begin: SystemTime,
    end: SystemTime,
    contacts: Vec<String>,
}

/// Times of the pages of each kind.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) pages: u64,
    pub(crate) wall: Duration,
    pub(crate) kinds: [Histogram; KINDS.len()],
}

impl Read {
    fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.kinds.iter_mut().zip(&other.kinds).for_each(|(all, some)| all.merge(some));
    }

    pub(crate) fn all(&self) -> Histogram {
        let mut all = Histogram::default();
        self.kinds.iter().for_each(|kind| all.merge(kind));
        all
    }
}

/// Lets the contacts write to the first account until its archive holds `wanted` messages or time is up.
pub(crate) async fn fill(client: &Client, accounts: &[Account], wanted: u64) -> Result<Archive> {
    ensure!(accounts.len() > CONTACTS, "the archive needs {CONTACTS} contacts");
    let owner = &accounts[0];
    let to = format!("{}@{}", owner.user, client.domain());
    let begin = SystemTime::now();
    let reader = tokio::task::spawn_local(take(Peer::open(client, owner, "reader").await?));
    let flow = Flow::default();
    let mut senders = Vec::new();
    for (number, account) in accounts[1..=CONTACTS].iter().enumerate() {
        let template = Template::new(&to, "chat", number, flow.body);
        senders.push(Sender::new(
            Peer::open(client, account, "contact").await?,
            template,
            flow,
            0.0,
            Rc::default(),
        ));
    }
    let deadline = Instant::now() + FILLING;
    let mut messages = 0;
    while messages < wanted && Instant::now() < deadline && !reader.is_finished() {
        let mut tasks = JoinSet::new();
        for sender in senders.drain(..) {
            tasks.spawn_local(sender.run(Load::Full(Until::Count(PORTION))));
        }
        while let Some(done) = timeout(DRAIN, tasks.join_next()).await? {
            senders.push(done??);
        }
        messages = senders.iter().map(|sender| u64::from(sender.next)).sum();
    }
    for mut sender in senders {
        sender.peer.close().await?;
    }
    if reader.is_finished() {
        reader.await??;
    } else {
        reader.abort();
    }
    let contact = |account: &Account| format!("{}@{}", account.user, client.domain());
    let contacts = accounts[1..=CONTACTS].iter().map(contact).collect();
    Ok(Archive { messages, begin, end: SystemTime::now(), contacts })
}

/// Takes what comes.
async fn take(mut peer: Peer) -> Result<()> {
    loop {
        peer.turn(|_| Ok(())).await?;
    }
}

/// `readers` ask for pages, each for the next when it has one, for `time`.
pub(crate) async fn read(
    client: &Client,
    owner: &Account,
    archive: &Rc<Archive>,
    readers: usize,
    time: Duration,
) -> Result<Read> {
    let mut opened = Vec::new();
    for number in 0..readers {
        let peer = Peer::open(client, owner, &format!("reader{number}")).await?;
        let mut reader = Reader { peer, archive: Rc::clone(archive), ids: Vec::new(), asked: 0 };
        reader.learn().await?;
        opened.push(reader);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for reader in opened {
        tasks.spawn_local(reader.run(begin + time));
    }
    let mut sum = Read::default();
    while let Some(done) = tasks.join_next().await {
        sum.add(&done??);
    }
    sum.wall = begin.elapsed();
    Ok(sum)
}

struct Reader {
    peer: Peer,
    archive: Rc<Archive>,
    /// Some that are in the archive, from all of its length.
    ids: Vec<String>,
    asked: usize,
}

impl Reader {
    /// Gets to know ids.
    async fn learn(&mut self) -> Result<()> {
        const IDS: usize = 64;
        while self.ids.len() < IDS {
            self.ask(Kind::Since).await?;
        }
        Ok(())
    }

    async fn run(mut self, deadline: Instant) -> Result<Read> {
        let mut read = Read::default();
        while Instant::now() < deadline {
            for (kind, times) in KINDS.iter().zip(&mut read.kinds) {
                let begin = Instant::now();
                self.ask(*kind).await?;
                times.record(begin.elapsed());
                read.pages += 1;
            }
        }
        self.peer.close().await?;
        Ok(read)
    }

    async fn ask(&mut self, kind: Kind) -> Result<()> {
        self.asked += 1;
        let (id, query) = (format!("page{}", self.asked), self.query(kind)?);
        let request = format!(
            "<iq type='set' id='{id}'><query xmlns='urn:xmpp:mam:2' queryid='q'>{query}</query></iq>"
        );
        self.peer.send(request.as_bytes(), 1).await?;
        let (mut messages, mut first, mut done) = (0, None, false);
        while !done {
            let take = |stanza: &[u8]| {
                if stanza.starts_with(b"<message") && has(stanza, "urn:xmpp:mam:2") {
                    messages += 1;
                } else if attr(stanza, "id") == Some(id.as_bytes()) {
                    if attr(stanza, "type") != Some(b"result") {
                        bail!("refused: {}", String::from_utf8_lossy(stanza));
                    }
                    done = true;
                    first =
                        text(stanza, "first").map(|id| String::from_utf8_lossy(id).into_owned());
                }
                Ok(())
            };
            timeout(DRAIN, self.peer.turn(take)).await??;
        }
        // There may be nothing before the first one.
        first.into_iter().for_each(|id| self.remember(id));
        // A page at an end of the archive, or of a contact, may be short.
        let may_be_short = !matches!(kind, Kind::Last | Kind::With);
        ensure!(messages == PAGE || may_be_short, "a page of {messages} messages");
        Ok(())
    }

    fn remember(&mut self, id: String) {
        const KEPT: usize = 1000;
        let place = self.random(KEPT);
        match self.ids.get_mut(place) {
            Some(old) => *old = id,
            None => self.ids.push(id),
        }
    }

    fn query(&self, kind: Kind) -> Result<String> {
        let page = |more: &str| {
            format!("<set xmlns='http://jabber.org/protocol/rsm'><max>{PAGE}</max>{more}</set>")
        };
        let id = || self.ids.get(self.random(self.ids.len())).map_or("", String::as_str);
        Ok(match kind {
            Kind::Last => page("<before/>"),
            Kind::Before => page(&format!("<before>{}</before>", id())),
            Kind::After => page(&format!("<after>{}</after>", id())),
            Kind::With => {
                let contact = &self.archive.contacts[self.random(self.archive.contacts.len())];
                form("with", contact) + &page("<before/>")
            }
            Kind::Since => {
                let Archive { begin, end, .. } = *self.archive;
                // Not so late that nothing came after it.
                let part = self.random(900) as f64 / 1000.0;
                let moment = begin + end.duration_since(begin)?.mul_f64(part);
                form("start", &Timestamp::try_from(moment)?.to_string()) + &page("")
            }
        })
    }

    /// The same places in every run, from all over the range.
    fn random(&self, below: usize) -> usize {
        let mixed = (self.asked as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        mixed as usize % below.max(1)
    }
}

fn form(field: &str, value: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>\
         <field var='{field}'><value>{value}</value></field></x>"
    )
}
