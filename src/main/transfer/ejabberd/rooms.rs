//! Rooms of ejabberd: a list of options, as a term.

use wello_kernel::clock::Clock;
use wello_modules::rooms::unchanged;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field};
use wello_wire::xml::Element;

use super::terms::Term;
use crate::transfer::importer::Importer;
use crate::transfer::rooms::{RoomAffiliate, Subject};

/// Texts of a room, by what ejabberd and XEP-0045 call them.
const TEXTS: [(&str, &str); 4] =
    [("title", "roomname"), ("description", "roomdesc"), ("lang", "lang"), ("pubsub", "pubsub")];
/// What is on or off.
const FLAGS: [(&str, &str); 6] = [
    ("public", "publicroom"),
    ("members_only", "membersonly"),
    ("allow_user_invites", "allowinvites"),
    ("allow_change_subj", "changesubject"),
    ("allow_voice_requests", "allowvoicerequests"),
    ("mam", "enablearchiving"),
];

struct Options<'a>(&'a [Term]);

impl Options<'_> {
    fn get(&self, name: &str) -> Option<&Term> {
        self.0.iter().find_map(|option| match option.tuple()? {
            [key, value] if key.atom() == Some(name) => Some(value),
            _ => None,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text().filter(|text| !text.is_empty())
    }

    fn boolean(&self, name: &str) -> Option<bool> {
        self.get(name)?.boolean()
    }
}

/// Makes a persistent room.
pub async fn import(
    importer: &mut Importer<'_>,
    name: &str,
    service: &str,
    options: &Term,
) -> anyhow::Result<()> {
    let Some(options) = options.list().map(Options) else {
        importer.skip("rooms whose settings cannot be read");
        return Ok(());
    };
    if !importer.begin_room(name, service) {
        return Ok(());
    }
    let jid = importer.jid()?;
    let (affiliations, unreadable) = affiliations(&options);
    if let Some(room) = importer.room() {
        room.form = Some(form(&options));
        room.subject = subject(&options, &jid);
        room.affiliations = affiliations;
    }
    for _ in 0..unreadable {
        importer.skip("affiliations that cannot be read");
    }
    importer.end().await
}

fn form(options: &Options<'_>) -> DataForm {
    let field = |name: &str| Field::untyped(format!("muc#roomconfig_{name}"));
    let mut form = unchanged();
    for (theirs, ours) in TEXTS {
        if let Some(text) = options.text(theirs) {
            form = form.with(field(ours).with_value(text));
        }
    }
    for (theirs, ours) in FLAGS {
        if let Some(flag) = options.boolean(theirs) {
            form = form.with(field(ours).with_boolean(flag));
        }
    }
    // By default all who enter a moderated room have voice there.
    let all_speak = options.boolean("members_by_default") != Some(false);
    if let Some(moderated) = options.boolean("moderated") {
        form = form.with(field("moderatedroom").with_boolean(moderated && !all_speak));
    }
    if let Some(anonymous) = options.boolean("anonymous") {
        form =
            form.with(field("whois").with_value(if anonymous { "moderators" } else { "anyone" }));
    }
    // Before 22.05 one could only forbid them.
    let allowed = match options.boolean("allow_private_messages") {
        Some(false) => Some("none"),
        _ => options.get("allowpm").and_then(Term::atom),
    };
    if let Some(allowed) = allowed {
        form = form.with(field("allowpm").with_value(allowed));
    }
    if let Some(most) = options.get("max_users").and_then(Term::integer) {
        form = form.with(field("maxusers").with_value(most.to_string()));
    }
    if let Some(roles) = options.get("presence_broadcast").and_then(Term::list) {
        form =
            form.with(field("presencebroadcast").with_values(roles.iter().filter_map(Term::atom)));
    }
    let password = options.text("password");
    if let Some(password) = password.filter(|_| options.boolean("password_protected") == Some(true))
    {
        form = form.with(field("passwordprotectedroom").with_boolean(true));
        form = form.with(field("roomsecret").with_value(password));
    }
    form
}

/// `room` is the address of the room here.
fn subject(options: &Options<'_>, room: &str) -> Option<Subject> {
    // Once a text, then `{text, Language, Text}` for each language.
    let of_language =
        |text: &'_ Term| text.tuple().and_then(|text| text.get(2)?.text().map(str::to_owned));
    let text = match options.get("subject")? {
        Term::List(texts) => texts.first().and_then(of_language)?,
        text => text.text()?.to_owned(),
    };
    let author = match options.get("subject_author") {
        Some(Term::Tuple(author)) => author.first().and_then(Term::text),
        author => author.and_then(Term::text),
    };
    let from = match author.filter(|author| !author.is_empty()) {
        Some(nick) => format!("{room}/{nick}"),
        None => room.to_owned(),
    };
    // When it was set, ejabberd does not keep.
    let known = |text: &String| !text.is_empty();
    Some(text).filter(known).map(|text| Subject::new(&from, &text, Clock::System.now()))
}

/// With how many could not be read.
fn affiliations(options: &Options<'_>) -> (Vec<RoomAffiliate>, usize) {
    let given = options.get("affiliations").and_then(Term::list).unwrap_or_default();
    let read: Vec<_> = given.iter().map(affiliate).collect();
    let all = read.len();
    let understood: Vec<_> = read.into_iter().flatten().collect();
    let unreadable = all - understood.len();
    (understood, unreadable)
}

/// `{{User, Server, Resource}, Affiliation}`, or `{Affiliation, Reason}` for the latter.
fn affiliate(term: &Term) -> Option<RoomAffiliate> {
    let [jid, affiliation] = term.tuple()? else { return None };
    let affiliation = match affiliation.tuple() {
        Some([affiliation, ..]) => affiliation.atom()?,
        _ => affiliation.atom()?,
    };
    RoomAffiliate::parse(&super::address(jid)?, affiliation, None)
}

/// A message of a room's archive as the room sent it: it is kept as its sender did.
pub fn said(mut message: Element, room: &str, nick: &str) -> Element {
    let from = if nick.is_empty() { room.to_owned() } else { format!("{room}/{nick}") };
    message.set_attr("from", from);
    message.set_attr("type", "groupchat");
    message.retain_children(|child| !child.is("x", ns::MUC_USER));
    message
}

#[cfg(test)]
mod tests {
    use super::super::terms::parse;
    use super::*;

    #[test]
    fn options_become_a_room() {
        let text =
            br#"[{title,<<"Tea">>},{moderated,true},{public,false},{anonymous,false},{mam,true},{max_users,none},
            {allow_private_messages,true},{allow_private_messages_from_visitors,anyone},
            {presence_broadcast,[moderator]},{password_protected,true},{password,<<"x">>},
            {affiliations,[{{<<"a">>,<<"b">>,<<>>},{owner,<<>>}},{{<<"c">>,<<"d">>,<<>>},outcast},
                           {{<<"e">>,<<"f">>,<<>>},king}]},
            {subject,[{text,<<"en">>,<<"Two lumps">>}]},{subject_author,<<"hatter">>}]."#;
        let term = parse(text).unwrap();
        let options = Options(term.list().unwrap());
        let form = form(&options);
        assert_eq!(form.value("muc#roomconfig_roomname"), Some("Tea"));
        assert_eq!(form.value("muc#roomconfig_whois"), Some("anyone"));
        assert_eq!(form.boolean("muc#roomconfig_moderatedroom").unwrap(), Some(false));
        assert_eq!(form.boolean("muc#roomconfig_publicroom").unwrap(), Some(false));
        assert_eq!(form.boolean("muc#roomconfig_enablearchiving").unwrap(), Some(true));
        assert_eq!(form.value("muc#roomconfig_maxusers"), None);
        assert_eq!(form.value("muc#roomconfig_roomsecret"), Some("x"));
        assert_eq!(form.values("muc#roomconfig_presencebroadcast"), ["moderator"]);
        let (found, unreadable) = affiliations(&options);
        assert_eq!((found.len(), unreadable), (2, 1));
        assert_eq!(found[0].jid.as_str(), "a@b");
        let subject = subject(&options, "r@c").unwrap();
        assert_eq!(subject.message.attr("from"), Some("r@c/hatter"));
    }
}
