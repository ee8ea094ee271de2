//! XMPP over WebSocket (RFC 7395): frames to and from a client connection's task.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::SplitStream;
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
    let Client { address, secure, permit, .. } = client;
    web.c2s.serve_frames(frames, address, "websocket", secure, bindings, permit);
    carry(socket, to_task, from_task).await;
}

async fn carry(
    socket: WebSocket,
    to_task: mpsc::Sender<Bytes>,
    mut from_task: mpsc::Receiver<Bytes>,
) {
    let (mut sink, mut source) = socket.split();
    let mut code = None;
    loop {
        tokio::select! {
            received = receive(&mut source, &to_task) => match received {
                Received::Frame(frame, permit) => permit.send(frame),
                Received::Other => {}
                Received::Gone => {
                    // Its last words may still be on their way, such as why it ended.
                    while let Some(Ok(text)) = from_task.recv().await.map(Utf8Bytes::try_from) {
                        if sink.send(Message::Text(text)).await.is_err() {
                            return;
                        }
                    }
                    break;
                }
                Received::End(reason) => {
                    code = Some(reason);
                    // The task takes it for the end of the connection.
                    break;
                }
            },
            frame = from_task.recv() => {
                let Some(Ok(text)) = frame.map(Utf8Bytes::try_from) else { break };
                if sink.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
        }
    }
    drop(to_task);
    let code = code.unwrap_or(close_code::NORMAL);
    let frame = CloseFrame { code, reason: Utf8Bytes::default() };
    // The client may have closed already.
    let _ = sink.send(Message::Close(Some(frame))).await;
}

enum Received<'a> {
    Frame(Bytes, mpsc::Permit<'a, Bytes>),
    Other,
    /// The task has ended.
    Gone,
    /// With the status code to close with.
    End(u16),
}

/// Reads only when the task has room, so that a fast client waits instead of us buffering.
async fn receive<'a>(
    source: &mut SplitStream<WebSocket>,
    to_task: &'a mpsc::Sender<Bytes>,
) -> Received<'a> {
    let Ok(permit) = to_task.reserve().await else { return Received::Gone };
    match source.next().await {
        Some(Ok(Message::Text(text))) => Received::Frame(Bytes::from(text), permit),
        // RFC 7395, section 3.2: XMPP is text.
        Some(Ok(Message::Binary(_))) => Received::End(close_code::UNSUPPORTED),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Other,
        Some(Ok(Message::Close(_)) | Err(_)) | None => Received::End(close_code::NORMAL),
    }
}
