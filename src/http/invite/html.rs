//! What the pages of an invitation say.

use qrcode::QrCode;
use qrcode::render::svg;
use wello_store::{Invite, InviteKind};
use wello_wire::payload::datetime::Timestamp;

use super::Refusal;
use crate::page::escaped;
use crate::{home, web_client};

/// RFC 7622, section 3.3.1, for people.
pub(super) const RULES: &str = "letters, digits, dots, hyphens and underscores are best; \
                                spaces and \" & ' / : < > @ cannot be used";

pub(super) const GONE: &str = "<h1>This invitation does not hold any more</h1>\
    <p>It was used, has expired, or was never made. Ask whoever sent it for a new one.</p>";

/// What somebody filled in, and why it was not taken.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) username: String,
    pub(super) refusal: Option<Refusal>,
}

/// What a browser runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Android,
    Ios,
    Windows,
    Linux,
    MacOs,
}

impl System {
    /// The first one that a User-Agent names: Android names Linux too, and iPhones "Mac OS X".
    pub(super) fn of(agent: &str) -> Option<System> {
        let names = [
            ("Android", System::Android),
            ("iPhone", System::Ios),
            ("iPad", System::Ios),
            ("Windows", System::Windows),
            ("Mac OS X", System::MacOs),
            ("Linux", System::Linux),
        ];
        names.into_iter().find(|(name, _)| agent.contains(name)).map(|(_, system)| system)
    }
}

/// Apps for a system, with where to get them.
struct Apps {
    system: System,
    title: &'static str,
    links: &'static [(&'static str, &'static str)],
}

const APPS: &[Apps] = &[
    Apps {
        system: System::Android,
        title: "Android",
        links: &[
            ("Conversations", "https://conversations.im"),
            ("Cheogram", "https://cheogram.com"),
        ],
    },
    Apps {
        system: System::Ios,
        title: "iPhone and iPad",
        links: &[("Monal", "https://monal-im.org"), ("Siskin IM", "https://siskin.im")],
    },
    Apps { system: System::Windows, title: "Windows", links: &[("Gajim", "https://gajim.org")] },
    Apps {
        system: System::Linux,
        title: "Linux",
        links: &[("Dino", "https://dino.im"), ("Gajim", "https://gajim.org")],
    },
    Apps {
        system: System::MacOs,
        title: "macOS",
        links: &[("Beagle IM", "https://beagle.im"), ("Monal", "https://monal-im.org")],
    },
];

/// XEP-0401, section 5.2. Without a `form` no account is made on this page.
pub(super) fn invitation(
    invite: &Invite,
    uri: &str,
    form: Option<&Entry>,
    system: Option<System>,
) -> String {
    let domain = escaped(&invite.domain);
    let title = match (invite.kind, &invite.inviter) {
        (InviteKind::Contact, Some(inviter)) => {
            format!("{} invites you to chat", escaped(inviter))
        }
        _ => format!("You are invited to an account at {domain}"),
    };
    let until = invite.expires.map(|expires| {
        let expires = Timestamp::from_micros(expires.as_micros()).to_string();
        let (day, time) = expires.split_at_checked(10).unwrap_or((&expires, ""));
        let time = time.get(1..6).unwrap_or_default();
        format!("<p><small>The invitation holds until {day}, {time} UTC.</small></p>")
    });
    let (until, form) = (until.unwrap_or_default(), form.map(|entry| registration(invite, entry)));
    let (form, apps, code) = (form.unwrap_or_default(), apps(system), code(uri));
    let uri = escaped(uri);
    format!(
        "<h1>{title}</h1>{until}\
         <h2>With an XMPP app on this device</h2>\
         <p><a class=\"button\" href=\"{uri}\">Accept the invitation</a></p>\
         <p>This needs an app. Install one first if you have none:</p>{apps}\
         <p>Is the app on another device? Scan this code there:</p>\
         <figure role=\"img\" aria-label=\"The invitation as a QR code\">{code}</figure>{form}"
    )
}

fn registration(invite: &Invite, entry: &Entry) -> String {
    let domain = escaped(&invite.domain);
    let refusal = entry.refusal.as_ref().map(|refusal| alert(&refusal.text)).unwrap_or_default();
    // A name that is kept for whom is invited is shown, not asked for.
    let name = match &invite.username {
        Some(name) => format!("value=\"{}\" readonly", escaped(name)),
        None => format!("value=\"{}\"", escaped(&entry.username)),
    };
    let rules = escaped(RULES);
    format!(
        "<h2>Or make your account here</h2>{refusal}\
         <form method=\"post\">\
         <label>Username <input name=\"username\" {name} required maxlength=\"1023\" \
         autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\">\
         <small>Your address will be username@{domain}. In a username {rules}.</small></label>\
         <label>Password <input name=\"password\" type=\"password\" required maxlength=\"1023\" \
         autocomplete=\"new-password\"></label>\
         <label>The same password again <input name=\"repeated\" type=\"password\" required \
         maxlength=\"1023\" autocomplete=\"new-password\"></label>\
         <button>Make the account</button></form>"
    )
}

/// After the account was made.
pub(super) fn account(address: &str, invite: &Invite, system: Option<System>) -> String {
    let (address, apps) = (escaped(address), apps(system));
    let contact = invite
        .inviter
        .as_deref()
        .map(|inviter| format!("<p>{} is among your contacts already.</p>", escaped(inviter)));
    let contact = contact.unwrap_or_default();
    let browser = if web_client::is_built() { home::CHAT } else { "" };
    format!(
        "<h1>Your account is ready</h1>\
         <p>Your address is <strong>{address}</strong>.</p>{contact}{browser}\
         <p>Log in with this address and your password, in any of these apps:</p>{apps}"
    )
}

pub(super) fn alert(text: &str) -> String {
    format!("<p role=\"alert\">Not done: {}.</p>", escaped(text))
}

/// Those for `first` before the others.
fn apps(first: Option<System>) -> String {
    let (own, others): (Vec<_>, Vec<_>) = APPS.iter().partition(|apps| Some(apps.system) == first);
    let items = own.into_iter().chain(others).map(|Apps { title, links, .. }| {
        let links: Vec<String> =
            links.iter().map(|(name, url)| format!("<a href=\"{url}\">{name}</a>")).collect();
        format!("<li>{title}: {}</li>", links.join(", "))
    });
    format!("<ul>{}</ul>", items.collect::<String>())
}

fn code(uri: &str) -> String {
    let code = QrCode::new(uri)
        .map(|code| code.render::<svg::Color<'_>>().min_dimensions(220, 220).build());
    // A document inside another has no XML declaration.
    let code = code.unwrap_or_default();
    code.split_once("?>").map_or("", |(_, svg)| svg).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_for_the_own_system_come_first() {
        let android = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)";
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:130.0)";
        for (agent, expected) in [
            (android, Some(System::Android)),
            (iphone, Some(System::Ios)),
            (mac, Some(System::MacOs)),
            ("Mozilla/5.0 (X11; Linux x86_64)", Some(System::Linux)),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", Some(System::Windows)),
            ("curl/8.0", None),
        ] {
            assert_eq!(System::of(agent), expected, "{agent}");
        }
        assert!(apps(Some(System::Linux)).starts_with("<ul><li>Linux"));
        assert!(apps(None).starts_with("<ul><li>Android"));
    }
}
