//! Links to rooms for people without an account, and what such a link is good for
//! (docs/protocols/guests.md).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use wello_kernel::hooks::{GuestDoor, GuestLink, GuestLinkWish};
use wello_wire::error::{Condition, StanzaError};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::datetime::Timestamp;

use super::auth::account;
use super::{ApiError, json_response, read};
use crate::Web;
use crate::server::Client;

#[derive(Deserialize)]
struct Wish {
    /// The room's address.
    room: String,
    /// For which the link holds.
    hours: Option<u32>,
    #[serde(default)]
    member: bool,
}

#[derive(Deserialize)]
pub(super) struct Place {
    room: String,
}

#[derive(Deserialize)]
struct Arrival {
    room: String,
    /// What stands behind the `#` of the link.
    token: String,
}

pub(super) async fn make_link(
    State(web): State<Web>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (door, by): (_, Jid) = (door(&web)?, account(&web, &headers).await?.into());
    let wish: Wish = read(&web, body).await?;
    let room = room(&wish.room)?;
    let wish = GuestLinkWish { hours: wish.hours, member: wish.member };
    let made = door.make_link(&web.kernel, &by, &room, wish).await?;
    let mut data = shown(&made.link);
    data["room"] = room.as_str().into();
    data["url"] = made.url.into();
    Ok(json_response(StatusCode::CREATED, &json!({ "success": true, "data": data })))
}

pub(super) async fn links(
    State(web): State<Web>,
    headers: HeaderMap,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (door, who): (_, Jid) = (door(&web)?, account(&web, &headers).await?.into());
    let links = door.links(&web.kernel, &who, &asked(&place)?).await?;
    let data: Vec<Value> = links.iter().map(shown).collect();
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "data": data })))
}

pub(super) async fn revoke_link(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (door, who): (_, Jid) = (door(&web)?, account(&web, &headers).await?.into());
    door.revoke_link(&web.kernel, &who, &asked(&place)?, &id).await?;
    let done = json!({ "success": true, "message": "Link revoked" });
    Ok(json_response(StatusCode::OK, &done))
}

/// For whoever has a link.
pub(super) async fn arrive(
    State(web): State<Web>,
    client: Client,
    body: Body,
) -> Result<Response, ApiError> {
    let door = door(&web)?;
    let arrival: Arrival = read(&web, body).await?;
    let room = room(&arrival.room)?;
    let reception = door.receive(&web.kernel, &room, &arrival.token, client.address).await?;
    let data = json!({
        "jid": reception.grant.jid.as_str(),
        "token": reception.grant.token,
        "expiresIn": reception.grant.expires_in,
        "room": room.as_str(),
        "name": reception.name,
        "focus": reception.focus.as_ref().map(|focus| focus.as_str()),
    });
    Ok(json_response(StatusCode::CREATED, &json!({ "success": true, "data": data })))
}

fn door(web: &Web) -> Result<Arc<dyn GuestDoor>, ApiError> {
    let door = web.kernel.hooks().guest_door.clone();
    let none = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "this server takes no guests");
    door.ok_or_else(none)
}

fn asked(place: &Result<Query<Place>, QueryRejection>) -> Result<BareJid, ApiError> {
    room(place.as_ref().map_or("", |Query(place)| &place.room))
}

fn room(text: &str) -> Result<BareJid, ApiError> {
    let parsed = text.parse::<BareJid>().ok().filter(|room| room.local().is_some());
    let text = "room is no address of a room";
    parsed.ok_or_else(|| ApiError::new(StatusCode::BAD_REQUEST, "bad_request", text))
}

fn shown(link: &GuestLink) -> Value {
    json!({
        "id": link.id,
        "by": link.by,
        "expires": Timestamp::from_micros(link.expires.as_micros()).to_string(),
        "member": link.member,
    })
}

impl From<StanzaError> for ApiError {
    fn from(error: StanzaError) -> ApiError {
        let new = ApiError::new;
        match error.condition {
            Condition::ItemNotFound => {
                new(StatusCode::NOT_FOUND, "not_found", "no such room or link (any more)")
            }
            Condition::Forbidden | Condition::NotAllowed => {
                new(StatusCode::FORBIDDEN, "forbidden", "not for this account")
            }
            Condition::ResourceConstraint => {
                let text = "too many of them, try again later";
                new(StatusCode::TOO_MANY_REQUESTS, "too_many", text)
            }
            _ => {
                tracing::error!(condition = %error.condition, "a request was not answered");
                ApiError::unavailable()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use axum::http::Request;
    use tower::ServiceExt;
    use wello_kernel::sessions::{ClientInfo, Session};
    use wello_stream::c2s::ResourceWish;
    use wello_wire::stanza::Stanza;

    use super::*;
    use crate::api::tests::{Server, parse};

    const HALL: &str = "hall@conference.wello.example";

    async fn bind(server: &Server, jid: &str) -> Arc<Session> {
        let (jid, info) = (jid.parse().unwrap(), ClientInfo::default());
        server.web.kernel.bind(&jid, &ResourceWish::Any, info).await.unwrap()
    }

    async fn say(server: &Server, session: &Arc<Session>, stanza: &str) {
        let stanza = stanza.replacen(' ', " xmlns='jabber:client' ", 1);
        let stanza = Stanza::from_element(stanza.parse().unwrap()).unwrap();
        let ticket = server.web.kernel.handle_client(session, stanza).await.unwrap();
        if let Some(ticket) = ticket {
            ticket.wait().await.unwrap();
        }
    }

    async fn post(server: &Server, path: &str, bearer: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/{path}"));
        let request = request.header("authorization", format!("Bearer {bearer}"));
        let request = request.body(Body::from(body.to_string())).unwrap();
        parse(server.web.router().oneshot(request).await.unwrap()).await
    }

    async fn room(server: &Server) -> Arc<Session> {
        let host = bind(server, "user@wello.example").await;
        let enter = "<x xmlns='http://jabber.org/protocol/muc'/>";
        say(server, &host, &format!("<presence to='{HALL}/host'>{enter}</presence>")).await;
        let form = "<x xmlns='jabber:x:data' type='submit'/>";
        let query = format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>");
        say(server, &host, &format!("<iq type='set' id='1' to='{HALL}'>{query}</iq>")).await;
        host
    }

    async fn guest(server: &Server) -> Value {
        let access = server.login("user").await["token"].as_str().unwrap().to_owned();
        let (status, link) = post(server, "meetings/links", &access, json!({ "room": HALL })).await;
        assert_eq!(status, StatusCode::CREATED, "{link}");
        let url = link["data"]["url"].as_str().unwrap();
        let (page, token) = url.split_once('#').unwrap();
        assert_eq!(page, format!("https://wello.example:5443/join/{HALL}"));
        let wish = json!({ "room": HALL, "token": token });
        let (status, answer) = post(server, "guests", "", wish).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        assert_eq!(answer["data"]["expiresIn"], 12 * 3600);
        answer["data"].clone()
    }

    /// All files of the database.
    fn stored(dir: &FilePath) -> Vec<u8> {
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.to_string_lossy().contains("test.db"));
        files.flat_map(|path| std::fs::read(path).unwrap()).collect()
    }

    #[tokio::test]
    async fn nothing_of_a_guest_is_stored() {
        let server = Server::with_modules("", wello_modules::all).await;
        let host = room(&server).await;
        let jid = guest(&server).await["jid"].as_str().unwrap().to_owned();
        let ann = bind(&server, &jid).await;
        say(&server, &ann, "<presence />").await;
        let enter = "<x xmlns='http://jabber.org/protocol/muc'/>";
        say(&server, &ann, &format!("<presence to='{HALL}/Ann'>{enter}</presence>")).await;
        let whisper = format!("<message type='chat' to='{HALL}/Ann'><body>Psst</body></message>");
        say(&server, &host, &whisper).await;
        assert!(ann.is_available() && !ann.inbox().is_empty());
        server.web.kernel.end_session(&ann, []).await;
        let kernel = &server.web.kernel;
        assert!(kernel.accounts.guests.find(&jid).is_some(), "they may come back");
        kernel.end_overdue_guests();
        kernel.end_overdue_guests();
        assert!(kernel.accounts.guests.find(&jid).is_none());
        let name = jid.split_once('@').unwrap().0.as_bytes();
        let kept = stored(server.dir.path());
        assert!(!kept.is_empty());
        assert!(!kept.windows(name.len()).any(|bytes| bytes == name));
    }

    #[tokio::test]
    async fn a_guests_token_is_good_for_logging_in_alone() {
        let server = Server::with_modules("", wello_modules::all).await;
        let _host = room(&server).await;
        let guest = guest(&server).await;
        let (jid, token) = (guest["jid"].as_str().unwrap(), guest["token"].as_str().unwrap());
        let accounts = &server.web.kernel.accounts;
        assert_eq!(accounts.verify_guest(token).unwrap().as_str(), jid);
        let (status, _) = server.get("turn-credentials", token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let account = server.login("user").await["token"].as_str().unwrap().to_owned();
        assert!(accounts.verify_guest(&account).is_err());
        server.web.kernel.end_guest(&jid.parse().unwrap());
        assert!(accounts.verify_guest(token).is_err());
    }
}
