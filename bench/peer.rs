//! A bound session with stream management on both ways (XEP-0198): counts, answers and reads acknowledgements.

use anyhow::{Context, Result, ensure};

use crate::{
    client::{Account, Client, Session},
    scanner::{attr, has},
};

pub(crate) struct Peer {
    session: Session,
    /// Stanzas received and sent since stream management was enabled; the protocol counts modulo 2³².
    received: u32,
    sent: u32,
    acknowledged: u32,
    replies: Vec<u8>,
}

impl Peer {
    /// Logs in, enables stream management and carbons and becomes available.
    pub(crate) async fn open(client: &Client, account: &Account, resource: &str) -> Result<Self> {
        let (mut session, _) = client.login(account, resource).await?;
        session.send(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await?;
        let enabled = session.receive().await?;
        ensure!(
            enabled.starts_with(b"<enabled"),
            "stream management: {}",
            String::from_utf8_lossy(&enabled)
        );
        let mut peer = Self { session, received: 0, sent: 0, acknowledged: 0, replies: Vec::new() };
        let carbons =
            b"<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>";
        peer.send(carbons, 2).await?;
        let mut carbons_on = None;
        while carbons_on.is_none() {
            peer.turn(|element| {
                if attr(element, "id") == Some(b"carbons") {
                    carbons_on = Some(has(element, "result"));
                }
                Ok(())
            })
            .await?;
        }
        ensure!(carbons_on == Some(true), "carbons are refused");
        Ok(peer)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8], stanzas: u32) -> Result<()> {
        self.sent = self.sent.wrapping_add(stanzas);
        self.session.send(bytes).await
    }

    /// Stanzas sent that the server has not acknowledged.
    pub(crate) fn in_flight(&self) -> u32 {
        self.sent.wrapping_sub(self.acknowledged)
    }

    /// Waits for bytes, hands each stanza to `take` and answers acknowledgement requests. Not cancel safe.
    pub(crate) async fn turn(&mut self, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.listen(take).await?;
        self.reply().await
    }

    /// Like [`Peer::turn`] without the answers, which are left for [`Peer::reply`]. Cancel safe.
    pub(crate) async fn listen(&mut self, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.session.read().await?;
        self.digest(take)
    }

    pub(crate) async fn reply(&mut self) -> Result<()> {
        if !self.replies.is_empty() {
            self.session.send(&self.replies).await?;
            self.replies.clear();
        }
        Ok(())
    }

    pub(crate) async fn close(&mut self) -> Result<()> {
        self.session.send(b"</stream:stream>").await
    }

    fn digest(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Self { session, received, sent, acknowledged, replies } = self;
        session.drain(|element| {
            match element {
                [b'<', b'r', b' ' | b'/', ..] => {
                    replies.extend_from_slice(
                        format!("<a xmlns='urn:xmpp:sm:3' h='{received}'/>").as_bytes(),
                    );
                }
                [b'<', b'a', b' ', ..] => {
                    *acknowledged = acknowledgement(element, *acknowledged, *sent)?;
                }
                stanza => {
                    *received = received.wrapping_add(1);
                    take(stanza)?;
                }
            }
            Ok(true)
        })
    }
}

fn acknowledgement(element: &[u8], before: u32, sent: u32) -> Result<u32> {
    let value = attr(element, "h").and_then(|h| std::str::from_utf8(h).ok()?.parse::<u32>().ok());
    let value = value.context("acknowledgement without a count")?;
    let outstanding = sent.wrapping_sub(before);
    ensure!(
        value.wrapping_sub(before) <= outstanding,
        "server acknowledges {value} of {sent} stanzas"
    );
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_wrap_and_never_exceed_what_was_sent() {
        assert_eq!(acknowledgement(b"<a xmlns='urn:xmpp:sm:3' h='7'/>", 5, 9).unwrap(), 7);
        assert_eq!(acknowledgement(b"<a xmlns='urn:xmpp:sm:3' h='1'/>", u32::MAX, 3).unwrap(), 1);
        assert!(acknowledgement(b"<a xmlns='urn:xmpp:sm:3' h='10'/>", 5, 9).is_err());
        assert!(acknowledgement(b"<a xmlns='urn:xmpp:sm:3'/>", 5, 9).is_err());
    }
}
