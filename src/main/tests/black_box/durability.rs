//! What the server has acknowledged survives SIGKILL at any moment (XEP-0198, XEP-0313).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::client::{Client, Gone, attribute, text};
use crate::database;
use crate::random::Random;
use crate::server::Server;

const ROUNDS: u64 = 5;
/// Who writes to whom. The first two recipients are online, the last is not.
const PAIRS: [(&str, &str); 4] = [("s0", "r0"), ("s1", "r0"), ("s2", "r1"), ("s3", "r2")];
const ONLINE: [&str; 2] = ["r0", "r1"];
/// A round ends within this many acknowledged messages.
const MOST_ACKNOWLEDGED: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_a_kill_on_sqlite() {
    acknowledged_messages_survive_a_kill(database::SQLITE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_a_kill_on_postgresql() {
    if let Some(url) = database::postgres().await {
        acknowledged_messages_survive_a_kill(&url).await;
    }
}

async fn acknowledged_messages_survive_a_kill(storage: &str) {
    let mut random = Random::seeded();
    let accounts: Vec<_> = ["s0", "s1", "s2", "s3", "r0", "r1", "r2"].map(str::to_owned).into();
    let mut server = Server::start(storage, &accounts, "").await;
    let mut acknowledged = HashMap::new();
    for round in 0..ROUNDS {
        for (place, count) in run_and_kill(&mut server, round, &mut random).await {
            acknowledged.insert((round, place), count);
        }
        server.launch().await;
    }
    let mut archives = HashMap::new();
    for account in &accounts {
        let bodies = archive(&server, account).await.unwrap();
        archives.insert(account.as_str(), bodies);
    }
    let mut checked = 0;
    for ((round, place), count) in acknowledged {
        let (sender, recipient) = PAIRS[place];
        for owner in [sender, recipient] {
            let prefix = format!("{round} {sender} ");
            let kept: Vec<u64> = archives[owner]
                .iter()
                .filter_map(|body| body.strip_prefix(&prefix)?.parse().ok())
                .collect();
            // Each once and in order, without a gap; what was not acknowledged may be there.
            let expected: Vec<u64> = (0..kept.len() as u64).collect();
            assert_eq!(kept, expected, "round {round}, {sender} in the archive of {owner}");
            assert!(
                kept.len() as u64 >= count,
                "round {round}: {count} messages of {sender} were acknowledged, \
                 {} are in the archive of {owner}",
                kept.len()
            );
        }
        checked += count;
    }
    println!("{checked} messages were acknowledged, none is lost");
    assert!(checked >= ROUNDS, "nothing was tested");
}

/// One life of the server; returns how much was acknowledged to each sender.
async fn run_and_kill(server: &mut Server, round: u64, random: &mut Random) -> Vec<(usize, u64)> {
    let mut receivers = Vec::new();
    for receiver in ONLINE {
        let mut client = Client::login(server, receiver, "phone").await.unwrap();
        client.send("<presence/>").await.unwrap();
        client.find("<presence").await.unwrap();
        receivers.push(tokio::spawn(async move { while client.next().await.is_ok() {} }));
    }
    let total = Arc::new((AtomicU64::new(0), Notify::new()));
    let mut senders = Vec::new();
    for (place, (from, to)) in PAIRS.into_iter().enumerate() {
        let client = Client::login(server, from, "phone").await.unwrap();
        let sender = Sender { client, round, from, to, sent: 0, acknowledged: 0 };
        let (total, burst) = (Arc::clone(&total), 1 + random.below(12));
        let sending = async move { (place, sender.send_until_the_end(burst, &total).await) };
        senders.push(tokio::spawn(sending));
    }
    let enough = 1 + random.below(MOST_ACKNOWLEDGED);
    loop {
        let more = total.1.notified();
        if total.0.load(Ordering::Acquire) >= enough {
            break;
        }
        more.await;
    }
    server.kill().await;
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.push(sender.await.unwrap());
    }
    for receiver in receivers {
        receiver.await.unwrap();
    }
    println!("round {round}: killed after {enough} acknowledgements, {acknowledged:?}");
    acknowledged
}

struct Sender {
    client: Client,
    round: u64,
    from: &'static str,
    to: &'static str,
    sent: u64,
    acknowledged: u64,
}

/// Bursts that are on their way before their acknowledgements are waited for.
const AHEAD: usize = 3;

impl Sender {
    /// Sends bursts, each with a request for acknowledgement, until the connection breaks.
    async fn send_until_the_end(mut self, burst: u64, total: &(AtomicU64, Notify)) -> u64 {
        // Whatever ends it, the acknowledgements until then count.
        let _: Result<(), Gone> = self.send_bursts(burst, total).await;
        self.acknowledged
    }

    async fn send_bursts(&mut self, burst: u64, total: &(AtomicU64, Notify)) -> Result<(), Gone> {
        self.client.send("<enable xmlns='urn:xmpp:sm:3'/>").await?;
        self.client.find("<enabled").await?;
        let mut ahead = 0;
        loop {
            let mut out = String::new();
            for _ in 0..burst {
                let body = format!("{} {} {}", self.round, self.from, self.sent);
                self.sent += 1;
                out += &format!(
                    "<message type='chat' to='{}@localhost'><body>{body}</body></message>",
                    self.to
                );
            }
            self.client.send(&(out + "<r xmlns='urn:xmpp:sm:3'/>")).await?;
            ahead += 1;
            if ahead > AHEAD {
                let answer = self.client.find("<a ").await?;
                let handled = attribute(&answer, "h").unwrap().parse().unwrap();
                assert!(self.acknowledged <= handled && handled <= self.sent, "{answer}");
                total.0.fetch_add(handled - self.acknowledged, Ordering::AcqRel);
                self.acknowledged = handled;
                total.1.notify_one();
                ahead -= 1;
            }
        }
    }
}

/// The bodies in an archive, in its order.
async fn archive(server: &Server, account: &str) -> Result<Vec<String>, Gone> {
    let mut client = Client::login(server, account, "reader").await?;
    let (mut bodies, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!(
            "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>250</max>{after}</set></query></iq>"
        );
        client.send(&query).await?;
        loop {
            let item = client.next().await?;
            if item.starts_with("<iq") {
                if attribute(&item, "complete") == Some("true") {
                    return Ok(bodies);
                }
                after = format!("<after>{}</after>", text(&item, "last").expect("a last id"));
                break;
            }
            bodies.extend(text(&item, "body").map(str::to_owned));
        }
    }
}
