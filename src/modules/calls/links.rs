//! Links to conferences (XEP-0483): a client asks its server for a meeting and gets an address that
//! anybody's browser can open. Where there are guests the room is made at once, with a link that lets
//! them in; elsewhere it is made when the first one enters.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::clock::random_bytes;
use wello_kernel::config::Config;
use wello_kernel::files::percent_encoded;
use wello_kernel::hooks::{
    DiscoQuery, Discovery, GuestDoor as _, GuestLinkWish, IqAnswer, IqHandler, IqRequest, IqScope,
    Request,
};
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::ns;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::xml::Element;

use super::Calls;

/// The type of meetings that this server has (section 3.1).
const TYPE: &str = "wello";
const FEATURES: [&str; 2] =
    ["urn:xmpp:http:online-meetings:initiate:0", "urn:xmpp:http:online-meetings#wello"];
/// Links of one account in a minute.
const MAX_LINKS: u32 = 10;
const MICROS_PER_MINUTE: i64 = 60_000_000;
const MAX_DESCRIPTION: usize = 1000;

#[async_trait]
impl Discovery for Calls {
    async fn info(&self, kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        let is_host = query.scope == IqScope::Host && query.node.is_none();
        if is_host && kernel.config.web_address(query.to.domain()).is_some() {
            info.features.extend(FEATURES.map(str::to_owned));
        }
    }
}

#[async_trait]
impl IqHandler for Calls {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        let wish = Wish::parse(request.payload)?;
        let host = request.to.domain();
        let own = request.session.filter(|session| session.jid.domain() == host);
        let own = own.ok_or_else(|| StanzaError::forbidden("only for users of this server"))?;
        self.count_link(own.jid.bare_str(), kernel.clock.now())?;
        self.muc.check_creation(kernel, &own.jid).await?;
        let room = self.room_for(kernel, host, wish.id).await?;
        let link = link(&kernel.config, &room)
            .ok_or_else(|| StanzaError::service_unavailable("no web client"))?;
        let description = wish.description.as_deref();
        let open = match self.muc.takes_guests(kernel, host) {
            true => self.make_open(kernel, &own.jid, &room, description).await?,
            false => link.clone(),
        };
        Ok(meeting(&link, &open, description).into())
    }
}

/// What somebody asks for (section 4).
#[derive(Debug, PartialEq, Eq)]
struct Wish<'a> {
    id: Option<&'a str>,
    description: Option<String>,
}

impl Wish<'_> {
    fn parse(query: &Element) -> Result<Wish<'_>, StanzaError> {
        if !query.is("query", ns::MEETINGS) {
            return Err(StanzaError::bad_request("a meeting is queried"));
        }
        match query.attr("type") {
            Some(TYPE) => {}
            Some(_) => return Err(StanzaError::service_unavailable("no meetings of this type")),
            None => return Err(StanzaError::bad_request("a meeting of which type?")),
        }
        let description = query.child("desc", ns::MEETINGS).map(|desc| desc.text().into_owned());
        if description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION) {
            return Err(StanzaError::not_acceptable("the description is too long"));
        }
        Ok(Wish { id: query.attr("id"), description })
    }
}

impl Calls {
    fn count_link(&self, account: &str, now: Timestamp) -> Result<(), StanzaError> {
        if !self.links.admit(account.into(), MAX_LINKS, now) {
            let retry = Element::new("retry", ns::MEETINGS)
                .with_attr("stamp", now.plus_micros(MICROS_PER_MINUTE).to_string());
            let error = StanzaError::resource_constraint("too many links, wait a minute");
            return Err(error.with_application(retry));
        }
        Ok(())
    }

    /// Makes the room of a meeting; returns the link by which everybody gets in.
    async fn make_open(
        &self,
        kernel: &Arc<Kernel>,
        owner: &FullJid,
        room: &BareJid,
        name: Option<&str>,
    ) -> Result<String, StanzaError> {
        self.muc.make(kernel, owner, room, name).await?;
        let made = self.muc.make_link(kernel, owner, room, GuestLinkWish::default()).await;
        made.map(|made| made.url)
    }

    /// A room that is not there yet.
    async fn room_for(
        &self,
        kernel: &Arc<Kernel>,
        host: &str,
        id: Option<&str>,
    ) -> Result<BareJid, StanzaError> {
        let (_, rooms) = self
            .domains
            .iter()
            .find(|(_, rooms)| rooms.strip_suffix(host).is_some_and(|label| label.ends_with('.')))
            .ok_or_else(|| StanzaError::service_unavailable(""))?;
        // Nobody is to guess it (section 8.1).
        let name = id.map_or_else(
            || format!("{:032x}", u128::from_be_bytes(random_bytes::<16>())),
            str::to_owned,
        );
        let room = BareJid::from_parts(Some(&name), rooms)
            .map_err(|_| StanzaError::not_acceptable("no room can be called so"))?;
        match self.muc.is_room(kernel, &room).await? {
            true => Err(StanzaError::not_acceptable("there is such a meeting already")),
            false => Ok(room),
        }
    }
}

/// Where browsers find the conference of a room.
pub fn link(config: &Config, room: &BareJid) -> Option<String> {
    let (_, host) = room.domain().split_once('.')?;
    let address = config.web_address(host)?;
    Some(format!("{address}/r/{}", percent_encoded(room.local()?)))
}

/// Section 4: `link` is for whoever has asked and logs in, `open` to be passed on.
fn meeting(link: &str, open: &str, description: Option<&str>) -> Element {
    let element = |name: &'static str| Element::new(name, ns::MEETINGS);
    let initiate = element("initiate")
        .with_attr("type", TYPE)
        .with_child(element("url").with_text(link))
        .with_children(description.map(|text| element("desc").with_text(text)));
    let meeting = element("meeting").with_attr("type", TYPE).with_attr_opt("desc", description);
    let invite = Element::new("invite", ns::CALL_INVITES)
        .with_attr("video", "true")
        .with_child(Element::new("external", ns::CALL_INVITES).with_attr("uri", open))
        .with_child(meeting);
    element("query").with_child(initiate).with_child(invite)
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    #[test]
    fn a_wish_says_what_it_is() {
        let read = |text: &str| {
            let query: Element = text.parse().unwrap();
            let wish = Wish::parse(&query).map_err(|error| error.condition)?;
            Ok((wish.id.map(str::to_owned), wish.description))
        };
        let with = |attrs: &str, inner: &str| {
            read(&format!("<query xmlns='urn:xmpp:http:online-meetings:0' {attrs}>{inner}</query>"))
        };
        assert_eq!(with("type='wello'", ""), Ok((None, None)));
        let both = with("type='wello' id='hall'", "<desc>Ball</desc>");
        assert_eq!(both, Ok((Some("hall".to_owned()), Some("Ball".to_owned()))));
        assert_eq!(with("type='jitsi'", ""), Err(Condition::ServiceUnavailable));
        assert_eq!(with("", ""), Err(Condition::BadRequest));
        let long = format!("<desc>{}</desc>", "x".repeat(MAX_DESCRIPTION + 1));
        assert_eq!(with("type='wello'", &long), Err(Condition::NotAcceptable));
        let other = "<other xmlns='urn:xmpp:http:online-meetings:0' type='wello'/>";
        assert_eq!(read(other), Err(Condition::BadRequest));
    }

    #[test]
    fn a_meeting_has_a_link_to_come_and_to_pass_on() {
        let mut config = Config::default();
        config.http.public_url = "https://chat.example/".to_owned();
        let room = "été@conference.capulet.example".parse().unwrap();
        let link = link(&config, &room).unwrap();
        assert_eq!(link, "https://chat.example/r/%C3%A9t%C3%A9");
        let text = meeting(&link, "https://chat.example/join/x#y", Some("Ball")).to_string();
        assert!(text.contains(&format!("<url>{link}</url>")), "{text}");
        assert!(text.contains("<external uri='https://chat.example/join/x#y'/>"), "{text}");
        assert!(text.contains("<desc>Ball</desc>") && text.contains("desc='Ball'"), "{text}");
    }
}
