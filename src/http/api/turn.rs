//! STUN and TURN servers for calls, in the form that `RTCPeerConnection` takes.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use wello_wire::payload::external_services::Service;

use super::auth::account;
use super::{ApiError, json_response};
use crate::Web;

pub(super) async fn credentials(
    State(web): State<Web>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let account = account(&web, &headers).await?;
    let services = web.kernel.external_services(&account);
    let ends =
        services.iter().filter_map(|one| ice_server(one).and(one.credentials.as_ref()?.expires));
    let expires = ends.min().map(|expires| expires.to_string());
    let servers: Vec<Value> = services.iter().filter_map(ice_server).collect();
    let data = json!({ "iceServers": servers, "expires": expires });
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "data": data })))
}

/// None for what is neither STUN nor TURN. The URIs are those of RFC 7064 and RFC 7065; only TURN has
/// a choice of transport.
fn ice_server(service: &Service) -> Option<Value> {
    let relay = match service.kind.as_str() {
        "turn" | "turns" => true,
        "stun" | "stuns" => false,
        _ => return None,
    };
    let host = match service.host.contains(':') {
        true => format!("[{}]", service.host),
        false => service.host.clone(),
    };
    let port = service.port.map(|port| format!(":{port}")).unwrap_or_default();
    let transport = service.transport.as_deref().filter(|_| relay);
    let transport = transport.map(|name| format!("?transport={name}")).unwrap_or_default();
    let mut server = json!({ "urls": format!("{}:{host}{port}{transport}", service.kind) });
    if let Some(credentials) = &service.credentials {
        server["username"] = json!(credentials.username);
        server["credential"] = json!(credentials.password);
    }
    Some(server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::Server;

    #[tokio::test]
    async fn credentials_in_the_form_of_browsers() {
        let server = Server::with(
            "[[external_service]]\ntype = 'stun'\nhost = 'turn.example'\nport = 3478\n\
             transport = 'udp'\n\
             [[external_service]]\ntype = 'turns'\nhost = '2001:db8::1'\nport = 443\n\
             transport = 'tcp'\nsecret = 'north'\n\
             [[external_service]]\ntype = 'ftp'\nhost = 'ftp.example'",
        )
        .await;
        let (status, _) = server.get("turn-credentials", "nonsense").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let token = server.login("user").await["token"].clone();
        let (status, answer) = server.get("turn-credentials", token.as_str().unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        let data = &answer["data"];
        assert_eq!(data["expires"], "2027-01-16T08:00:00Z");
        let servers = data["iceServers"].as_array().unwrap();
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[0], json!({ "urls": "stun:turn.example:3478" }));
        assert_eq!(servers[1]["urls"], "turns:[2001:db8::1]:443?transport=tcp");
        assert!(servers[1]["username"].as_str().unwrap().starts_with("1800086400:"));
        assert!(servers[1]["credential"].is_string());
    }
}
