//! Data channels beside what somebody sends (XEP-0343): they go over the same transport.

use wello_sfu::api::{Command, Data};
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{Content, Transport};

use super::super::negotiate::{self, OfferedData};
use super::{Conference, Effects, Person};

impl Conference {
    /// They come to a session; returns the answer.
    pub(super) fn add_data(
        &mut self,
        jid: &FullJid,
        sid: &str,
        offered: OfferedData,
        fx: &mut Effects,
    ) -> Option<Content> {
        let person = self.people.get_mut(jid)?;
        let voice = person.guest.voice;
        let up = person.ups.iter_mut().find(|up| up.sid == sid && up.data.is_none())?;
        fx.media.push(Command::Data { leg: up.leg, data: data(true, voice) });
        let answer = accepted(&offered, Transport::default());
        up.data = Some(offered);
        Some(answer)
    }
}

impl Person {
    /// Tells the engine whether they are for writing.
    pub(super) fn tell_data(&self, fx: &mut Effects) {
        let with_data = self.ups.iter().filter(|up| up.data.is_some());
        let tell = |leg| Command::Data { leg, data: data(true, self.guest.voice) };
        fx.media.extend(with_data.map(|up| tell(up.leg)));
    }
}

/// The answer to their content, on this transport.
pub(super) fn accepted(offered: &OfferedData, transport: Transport) -> Content {
    let sctp = Some(negotiate::association());
    let transport = Some(Transport { sctp, ..transport });
    Content { transport, ..negotiate::data_answer(offered) }
}

/// Who may speak may write.
pub(super) fn data(offered: bool, voice: bool) -> Data {
    match (offered, voice) {
        (false, _) => Data::Off,
        (true, false) => Data::Reads,
        (true, true) => Data::Writes,
    }
}
