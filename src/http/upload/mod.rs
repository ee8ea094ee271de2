//! Files come and go here (XEP-0363, section 7). What others upload is never trusted: browsers
//! neither guess its type nor run it.

mod disposition;
mod range;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPECT, HeaderName, IF_MATCH, IF_NONE_MATCH,
    IF_RANGE, RANGE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures_util::StreamExt as _;
use tokio::time::timeout;
use wello_kernel::files::{Arrival, ReceiveError, UNKNOWN_TYPE};
use wello_store::{Content, Upload};
use wello_wire::hex;

use crate::Web;
use disposition::disposition;
use range::{Wanted, lists, wanted};

/// No scripts, no forms, no origin of its own; nothing is loaded, and no page shows it in a frame.
const POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// How long a client may send nothing. Phones lose their network for half a minute.
const IDLE: Duration = Duration::from_secs(60);
/// What an upload takes at most: a start, and bytes at a rate below that of any mobile network.
const GRACE: Duration = Duration::from_secs(120);
const SLOWEST_BYTES_PER_SECOND: u64 = 4096;
/// What is read of a file that is refused, and how long.
const DRAINED: usize = 1024 * 1024;
const DRAINING: Duration = Duration::from_secs(5);
/// A file's content never changes; so long do others keep it.
const YEAR_SECONDS: u64 = 365 * 24 * 3600;

/// What web clients of other origins may read of an answer.
pub(crate) const EXPOSED: [HeaderName; 5] =
    [ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG];

pub(crate) fn route() -> MethodRouter<Web> {
    get(read).put(write)
}

async fn write(
    State(web): State<Web>,
    Path((token, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut pieces = body.into_data_stream();
    match receive(&web, &token, &name, &headers, &mut pieces).await {
        Ok(()) => guarded(StatusCode::CREATED.into_response()),
        Err(refusal) => {
            // Who waits to be told to go on is told why not instead.
            if !headers.contains_key(EXPECT) {
                drain(&mut pieces).await;
            }
            refusal.into_response()
        }
    }
}

/// A client that sends without listening would find its connection cut and not the answer.
async fn drain(pieces: &mut BodyDataStream) {
    let read = async {
        let mut left = DRAINED;
        while let Some(Ok(piece)) = pieces.next().await
            && left > 0
        {
            left = left.saturating_sub(piece.len());
        }
    };
    // However it goes on, the answer is due.
    let _ = timeout(DRAINING, read).await;
}

async fn receive(
    web: &Web,
    token: &str,
    name: &str,
    headers: &HeaderMap,
    pieces: &mut BodyDataStream,
) -> Result<(), Refusal> {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let length = header(&CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let length: u64 = length.ok_or(Refusal::NoLength)?;
    let media_type = header(&CONTENT_TYPE).and_then(wello_kernel::files::media_type);
    let files = &web.kernel.files;
    let arrival = files.receive(token, name, length, media_type.as_deref()).await?;
    let patience = GRACE + Duration::from_secs(length / SLOWEST_BYTES_PER_SECOND);
    let arrival =
        timeout(patience, take(arrival, pieces)).await.map_err(|_| Refusal::TooSlow)??;
    arrival.finish().await?;
    Ok(())
}

async fn take<'a>(
    mut arrival: Arrival<'a>,
    pieces: &mut BodyDataStream,
) -> Result<Arrival<'a>, Refusal> {
    while let Some(piece) = timeout(IDLE, pieces.next()).await.map_err(|_| Refusal::TooSlow)? {
        arrival.write(piece.map_err(|_| Refusal::CutOff)?).await?;
    }
    Ok(arrival)
}

/// Why a file was not taken.
#[derive(Debug)]
enum Refusal {
    NoLength,
    TooSlow,
    /// The client went away, and will not read this.
    CutOff,
    Receive(ReceiveError),
}

impl From<ReceiveError> for Refusal {
    fn from(error: ReceiveError) -> Refusal {
        Refusal::Receive(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = match &self {
            Refusal::NoLength => "a Content-Length is needed".to_owned(),
            Refusal::TooSlow => "the file came too slowly".to_owned(),
            Refusal::CutOff => "the file did not come whole".to_owned(),
            Refusal::Receive(ReceiveError::Io(_) | ReceiveError::Store(_)) => {
                "the file cannot be stored now".to_owned()
            }
            Refusal::Receive(error) => error.to_string(),
        };
        let status = match self {
            Refusal::NoLength => StatusCode::LENGTH_REQUIRED,
            Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refusal::CutOff => StatusCode::BAD_REQUEST,
            Refusal::Receive(error) => status(&error),
        };
        guarded((status, format!("{text}\n")).into_response())
    }
}

fn status(error: &ReceiveError) -> StatusCode {
    match error {
        ReceiveError::Unknown => StatusCode::NOT_FOUND,
        ReceiveError::Expired => StatusCode::GONE,
        ReceiveError::Used => StatusCode::CONFLICT,
        ReceiveError::Length(_) => StatusCode::PAYLOAD_TOO_LARGE,
        ReceiveError::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ReceiveError::DiskFull => {
            tracing::error!("a file was refused: the disk is full");
            StatusCode::INSUFFICIENT_STORAGE
        }
        ReceiveError::Io(_) | ReceiveError::Store(_) => {
            tracing::error!(%error, "a file was not stored");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

async fn read(
    State(web): State<Web>,
    Path((token, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let found = match web.kernel.files.find(&token, &name).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "files not reached");
            return guarded(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
    };
    let found = found.and_then(|mut upload| Some((upload.content.take()?, upload)));
    let Some((content, upload)) = found else {
        return guarded((StatusCode::NOT_FOUND, "there is no such file\n").into_response());
    };
    let etag = etag(&content);
    let mut response = match select(&method, &headers, &etag, upload.size) {
        Selected::Whole => whole(&web, &method, &content, &upload).await,
        Selected::Part(range) => part(&web, &content, range, upload.size).await,
        Selected::Unsatisfiable => unsatisfiable(upload.size),
        Selected::Unchanged => StatusCode::NOT_MODIFIED.into_response(),
        Selected::Other => StatusCode::PRECONDITION_FAILED.into_response(),
    };
    if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
        describe(response.headers_mut(), &web, &upload, &etag);
    }
    guarded(response)
}

/// What a request gets (RFC 9110, section 13.2.2).
enum Selected {
    Whole,
    Part(std::ops::Range<u64>),
    Unsatisfiable,
    Unchanged,
    Other,
}

fn select(method: &Method, headers: &HeaderMap, etag: &str, size: u64) -> Selected {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if header(&IF_MATCH).is_some_and(|tags| !lists(tags, etag)) {
        return Selected::Other;
    }
    if header(&IF_NONE_MATCH).is_some_and(|tags| lists(tags, etag)) {
        return Selected::Unchanged;
    }
    // Section 14.2: of HEAD no part can be had. Section 13.1.5: nor of another version; dates are
    // not given, so none is right.
    let range = header(&RANGE).filter(|_| method == Method::GET);
    let range = range.filter(|_| header(&IF_RANGE).is_none_or(|tag| tag.trim() == etag));
    match wanted(range, size) {
        Wanted::All => Selected::Whole,
        Wanted::Part(range) => Selected::Part(range),
        Wanted::Unsatisfiable => Selected::Unsatisfiable,
    }
}

async fn whole(web: &Web, method: &Method, content: &Content, upload: &Upload) -> Response {
    let body = match *method == Method::HEAD {
        true => Ok(Body::empty()),
        false => pieces(web, content, 0..upload.size).await,
    };
    match body {
        Ok(body) => ([(CONTENT_LENGTH, upload.size)], body).into_response(),
        Err(error) => unreadable(content, &error),
    }
}

async fn part(web: &Web, content: &Content, range: std::ops::Range<u64>, size: u64) -> Response {
    let (first, last) = (range.start, range.end - 1);
    let headers = [
        (CONTENT_LENGTH, (range.end - range.start).to_string()),
        (CONTENT_RANGE, format!("bytes {first}-{last}/{size}")),
    ];
    match pieces(web, content, range).await {
        Ok(body) => (StatusCode::PARTIAL_CONTENT, headers, body).into_response(),
        Err(error) => unreadable(content, &error),
    }
}

async fn pieces(web: &Web, content: &Content, range: std::ops::Range<u64>) -> io::Result<Body> {
    Ok(Body::from_stream(web.kernel.files.read(content, range).await?))
}

fn unreadable(content: &Content, error: &io::Error) -> Response {
    tracing::error!(blob = content.blob, %error, "a file cannot be read");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn unsatisfiable(size: u64) -> Response {
    let range = [(CONTENT_RANGE, format!("bytes */{size}"))];
    (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response()
}

/// Strong: equal tags are equal bytes.
fn etag(content: &Content) -> String {
    format!("\"{}\"", hex::encode(content.hash.0))
}

fn describe(headers: &mut HeaderMap, web: &Web, upload: &Upload, etag: &str) {
    let media_type = upload.media_type.as_deref().unwrap_or(UNKNOWN_TYPE);
    let now = web.kernel.clock.now();
    let left = upload.expires.map_or(YEAR_SECONDS, |expires| expires.since(now).as_secs());
    let keep = format!("max-age={}, immutable", left.min(YEAR_SECONDS));
    let texts = [
        (ETAG, etag),
        (CONTENT_TYPE, media_type),
        (CONTENT_DISPOSITION, &disposition(&upload.name, media_type)),
        (CACHE_CONTROL, &keep),
        (ACCEPT_RANGES, "bytes"),
    ];
    for (name, text) in texts {
        // All of them are visible ASCII: types are checked when they come, names are encoded.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
}

/// What every answer here carries.
fn guarded(mut response: Response) -> Response {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A file's address is its secret.
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
