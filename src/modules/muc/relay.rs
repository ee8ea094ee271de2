//! IQs between occupants (XEP-0045, section 17.4), and pings to oneself (XEP-0410).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wello_kernel::Kernel;
use wello_kernel::sessions::Session;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::Stanza;

use super::Muc;
use super::room::Room;

impl Muc {
    /// A request to `room/nick`.
    pub(super) async fn relay_request(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        from: &Jid,
        to: &Jid,
        session: Option<&Arc<Session>>,
    ) -> Result<(), StanzaError> {
        let payload = stanza.children().next();
        let is_ping = payload.is_some_and(|payload| payload.is("ping", ns::PING));
        let is_disco =
            payload.is_some_and(|payload| matches!(payload.ns(), ns::DISCO_INFO | ns::DISCO_ITEMS));
        // Clients publish it under the account, not under a session.
        let to_account = payload.is_some_and(|payload| {
            matches!(payload.ns(), ns::VCARD_TEMP | ns::PUBSUB | ns::VCARD4)
        });
        let room = to.bare();
        let question = self.look(kernel, &room, |room| {
            let relayed = question(room, stanza, from, to, is_ping, to_account);
            match relayed {
                // Section 6.6.
                Err(_) if is_disco && room.occupant_of(from).is_none() => {
                    Err(StanzaError::bad_request("only for occupants"))
                }
                other => other,
            }
        });
        match question.await? {
            Some(question) => {
                kernel.route(question).await;
            }
            // XEP-0410: the room itself knows.
            None => kernel.answer(session, stanza.result(None)).await,
        }
        Ok(())
    }

    /// A result or error to `room/nick`, for the session that asked.
    pub(super) async fn relay_answer(&self, kernel: &Arc<Kernel>, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let (Some(nick), Some(id)) = (to.resource(), &stanza.id) else { return };
        let Some(live) = self.rooms.get(to.bare_str()) else { return };
        let answer = {
            let state = live.state.lock();
            let Some((resource, id)) = decode(id) else { return };
            let asker = state.room.occupant(nick).and_then(|asker| {
                asker.devices.iter().find(|device| device.jid.resource() == resource)
            });
            let Some(asker) = asker else { return };
            let Some(answer) = state.room.relay(from, asker.jid.clone(), stanza) else { return };
            answer.with_id(id)
        };
        kernel.route(answer).await;
    }
}

/// The request for the other's session; `None` when it is a ping to oneself.
fn question(
    room: &Room,
    stanza: &Stanza,
    from: &Jid,
    to: &Jid,
    is_ping: bool,
    to_account: bool,
) -> Result<Option<Stanza>, StanzaError> {
    let not_here = || StanzaError::not_acceptable("only for occupants of the room");
    let asker = room.occupant_of(from).ok_or_else(not_here)?;
    let nick = to.resource().unwrap_or_default();
    if is_ping && asker.nick() == nick {
        return Ok(None);
    }
    let target = room.occupant(nick);
    let target = target.ok_or_else(|| StanzaError::item_not_found("nobody has this nickname"))?;
    // The one that its presence is of.
    let device = target.devices.last().ok_or_else(not_here)?;
    let to: Jid = match to_account {
        true => target.account.clone().into(),
        false => device.jid.clone().into(),
    };
    let id = encode(from.resource().unwrap_or_default(), stanza.id.as_deref().unwrap_or_default());
    Ok(Some(stanza.clone().with_from(asker.jid.clone()).with_to(to).with_id(id)))
}

/// An id that tells which of the asker's sessions waits for the answer.
fn encode(resource: &str, id: &str) -> String {
    format!("{}.{id}", URL_SAFE_NO_PAD.encode(resource))
}

fn decode(id: &str) -> Option<(String, String)> {
    let (resource, id) = id.split_once('.')?;
    let resource = String::from_utf8(URL_SAFE_NO_PAD.decode(resource).ok()?).ok()?;
    Some((resource, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        for (resource, id) in [("phone", "1"), ("ü/ .", "a.b.c"), ("x", "")] {
            let (resource, id) = (resource.to_owned(), id.to_owned());
            assert_eq!(decode(&encode(&resource, &id)), Some((resource, id)));
        }
        assert_eq!(decode("none"), None);
        assert_eq!(decode("*.x"), None);
    }
}
