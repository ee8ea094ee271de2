//! The stream header (RFC 6120, section 4.7).

use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::negotiation::Negotiation;
use super::{C2s, Phase};
use crate::random::random_id;

impl C2s {
    pub(super) fn handle_header(&mut self, header: &Element, default_ns: &str) {
        let authenticated = match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Opening(authenticated) => authenticated,
            // RFC 7395 frames could bring a second one.
            other => {
                self.phase = other;
                return self.fail(&StreamError::new(StreamCondition::BadFormat));
            }
        };
        self.lang = header.lang().map(Into::into);
        let addressed = self.addressed_host(header);
        // RFC 6120, section 4.9.1.3: the answer names the host that was asked for, if it is here.
        if let Ok(host) = &addressed {
            self.host = Some(host.clone());
        }
        let host = match self.check_header(header, default_ns).and(addressed) {
            Ok(host) => host,
            Err(error) => return self.fail(&error),
        };
        if let Some(authenticated) = &authenticated
            && authenticated.identity.domain() != host.domain()
        {
            let error = StreamError::new(StreamCondition::ImproperAddressing);
            return self.fail(&error.with_text("the stream was authenticated for another host"));
        }
        self.send_header();
        self.offer(Negotiation::new(host, authenticated));
    }

    fn check_header(&mut self, header: &Element, default_ns: &str) -> Result<(), StreamError> {
        let error = StreamError::new;
        if header.ns() != ns::STREAM {
            return Err(error(StreamCondition::InvalidNamespace));
        }
        if header.name() != "stream" {
            return Err(error(StreamCondition::BadFormat));
        }
        if default_ns != ns::CLIENT {
            return Err(error(StreamCondition::InvalidNamespace));
        }
        if let Some(from) = header.attr("from") {
            let from = from.parse::<Jid>().ok().and_then(|jid| BareJid::try_from(jid).ok());
            // XEP-0388, section 2.1: nobody logs in here with an account of elsewhere.
            let host = self.host.as_ref();
            let from = from.filter(|from| host.is_none_or(|host| from.domain() == host.domain()));
            self.claimed = Some(from.ok_or_else(|| error(StreamCondition::InvalidFrom))?);
        }
        // Section 4.7.5: whoever sends none speaks a protocol of before RFC 3920.
        let major = header.attr("version").and_then(|version| version.split_once('.'));
        match major.map(|(major, minor)| (major.parse::<u32>(), minor.parse::<u32>())) {
            Some((Ok(1..), Ok(_))) => Ok(()),
            _ => Err(error(StreamCondition::UnsupportedVersion)),
        }
    }

    fn addressed_host(&self, header: &Element) -> Result<BareJid, StreamError> {
        let improper = || StreamError::new(StreamCondition::ImproperAddressing);
        let to = header.attr("to").ok_or_else(improper)?;
        let to = to.parse::<Jid>().map_err(|_| improper())?;
        if !to.is_domain() {
            return Err(improper());
        }
        match self.settings.hosts.get(to.domain()) {
            Some(host) => Ok(host.domain.clone()),
            None => Err(StreamError::new(StreamCondition::HostUnknown)),
        }
    }

    pub(super) fn send_header(&mut self) {
        let id = random_id();
        let mut attributes = Vec::with_capacity(5);
        // RFC 6120, section 4.9.1.3: empty for a host that is not here.
        let from = self.host.as_ref().map_or("", |host| host.as_str());
        attributes.push(("from", from));
        if let Some(to) = &self.claimed {
            attributes.push(("to", to.as_str()));
        }
        attributes.extend([("id", id.as_str()), ("version", "1.0"), ("xml:lang", "en")]);
        self.output.header(&attributes);
    }
}
