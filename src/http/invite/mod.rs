//! The page behind an invitation's link (XEP-0401, XEP-0379): what it is, and how to take it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::response::{Html, IntoResponse, Response};
use qrcode::QrCode;
use qrcode::render::svg;
use wello_store::{Invite, InviteKind};
use wello_wire::xml::write_escaped_text;

use crate::Web;

/// Nothing is loaded from anywhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'";

const APPS: &[(&str, &str)] = &[
    ("Android", "Conversations, Cheogram"),
    ("iPhone and iPad", "Monal, Siskin IM"),
    ("Windows", "Gajim"),
    ("Linux", "Dino, Gajim"),
    ("macOS", "Beagle IM, Monal"),
];

pub(crate) async fn page(State(web): State<Web>, Path(token): Path<String>) -> Response {
    let found = match web.kernel.store.invites.find(&token).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "invitation not read");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let now = web.kernel.clock.now();
    let valid = found.filter(|invite| {
        invite.uses_left > 0 && invite.expires.is_none_or(|expires| expires > now)
    });
    let (status, body) = match valid {
        Some(invite) => (StatusCode::OK, welcome(&invite)),
        None => (StatusCode::NOT_FOUND, gone()),
    };
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // The address is the secret.
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(body)).into_response()
}

/// The link that an app takes: of an account to be made, or of a contact to be added.
fn uri(invite: &Invite) -> String {
    let token = &invite.token;
    match (&invite.kind, &invite.username, &invite.inviter) {
        (InviteKind::Contact, _, Some(inviter)) => format!("xmpp:{inviter}?roster;preauth={token}"),
        (_, Some(name), _) => format!("xmpp:{name}@{}?register;preauth={token}", invite.domain),
        _ => format!("xmpp:{}?register;preauth={token}", invite.domain),
    }
}

fn welcome(invite: &Invite) -> String {
    let uri = uri(invite);
    let code = QrCode::new(&uri)
        .map(|code| code.render::<svg::Color<'_>>().min_dimensions(220, 220).build());
    // A document inside another has no XML declaration.
    let code = code.unwrap_or_default();
    let code = code.split_once("?>").map_or("", |(_, svg)| svg);
    let apps: String =
        APPS.iter().map(|(system, names)| format!("<li><b>{system}</b>: {names}</li>")).collect();
    let (uri, domain) = (escaped(&uri), escaped(&invite.domain));
    let text = format!(
        "<h1>You are invited to {domain}</h1>\
         <ol><li>Install an app:<ul>{apps}</ul></li>\
         <li>Open this link on the same device: <a href=\"{uri}\">accept the invitation</a></li>\
         <li>Or scan this code with the app:</li></ol>\
         <figure role=\"img\" aria-label=\"The invitation as a QR code\">{code}</figure>"
    );
    document(&format!("Invitation to {domain}"), &text)
}

fn gone() -> String {
    let text = "<h1>This invitation does not hold any more</h1>\
        <p>It was used, has expired, or was never made. Ask whoever sent it for a new one.</p>";
    document("No invitation", text)
}

fn document(title: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:2rem auto;\
         padding:0 1rem;color:#111827;background:#fff}}a{{color:#166534}}figure{{margin:1rem 0}}\
         </style></head><body><main>{main}</main></body></html>"
    )
}

/// For text and for attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    write_escaped_text(&mut out, text);
    String::from_utf8_lossy(&out).replace('"', "&quot;")
}
