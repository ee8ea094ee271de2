//! XMPP over WebSocket (RFC 7395): frames to and from a client connection's task.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use wello_net::c2s::Frames;

use crate::Web;
use crate::server::Client;

/// Frames on their way in either direction; each is bounded by the stanza limit.
const FRAMES: usize = 8;
const PROTOCOL: &str = "xmpp";

pub(crate) async fn upgrade(
    State(web): State<Web>,
    client: Client,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // RFC 7395, section 3.1: the client must offer the subprotocol.
    let offered = headers.get("sec-websocket-protocol").and_then(|offer| offer.to_str().ok());
    if !offered.is_some_and(|offer| offer.split(',').any(|one| one.trim() == PROTOCOL)) {
        let text = "the subprotocol \"xmpp\" must be offered (RFC 7395)\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let max = web.kernel.config.limits.stanza_bytes;
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(max)
        .max_frame_size(max)
        .on_upgrade(move |socket| serve(web, client, socket))
}

async fn serve(web: Web, client: Client, socket: WebSocket) {
    let (to_task, incoming) = mpsc::channel(FRAMES);
    let (outgoing, from_task) = mpsc::channel(FRAMES);
    let frames = Frames { incoming, outgoing };
    let bindings = (*client.bindings).clone();
    web.c2s.serve_frames(frames, client.address, "websocket", client.secure, bindings);
    carry(socket, to_task, from_task).await;
}

async fn carry(
    socket: WebSocket,
    to_task: mpsc::Sender<Bytes>,
    mut from_task: mpsc::Receiver<Bytes>,
) {
    let (mut sink, mut source) = socket.split();
    let reader = async {
        while let Some(Ok(message)) = source.next().await {
            let frame = match message {
                Message::Text(text) => Bytes::from(text),
                // Section 3.2: XMPP is text.
                Message::Binary(_) => return Some(close_code::UNSUPPORTED),
                Message::Close(_) => return None,
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            if to_task.send(frame).await.is_err() {
                return None;
            }
        }
        None
    };
    let writer = async {
        while let Some(frame) = from_task.recv().await {
            let Ok(text) = Utf8Bytes::try_from(frame) else { break };
            if sink.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
    };
    tokio::pin!(reader, writer);
    let code = tokio::select! {
        code = &mut reader => code,
        () = &mut writer => Some(close_code::NORMAL),
    };
    drop(to_task);
    if code.is_none() {
        // The task still says goodbye.
        writer.await;
    }
    let frame =
        CloseFrame { code: code.unwrap_or(close_code::NORMAL), reason: Utf8Bytes::default() };
    // The client may have closed already.
    let _ = sink.send(Message::Close(Some(frame))).await;
}
