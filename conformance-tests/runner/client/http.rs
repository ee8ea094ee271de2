//! HTTP/1.1, one connection per request: enough for BOSH and for `http:` steps, and every header
//! is seen as the server wrote it.

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{tcp::dial, tls};

/// More than any page a script asks for.
const MAX_RESPONSE: usize = 8 * 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// `https://host:port/path`
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// `connect_to` is the address behind the name in the URL.
pub(crate) async fn send(request: &Request, connect_to: &str) -> anyhow::Result<Response> {
    let (scheme, rest) = request.url.split_once("://").context("URL without scheme")?;
    let (authority, path) = match rest.split_once('/') {
        Some((a, p)) => (a, format!("/{p}")),
        None => (rest, "/".to_owned()),
    };
    let (name, port) = authority.rsplit_once(':').context("URL without port")?;
    let tcp = dial(connect_to, port.parse()?).await?;
    let head = head(request, authority, &path);
    match scheme {
        "https" => exchange(tls::connect(tcp, name, &["http/1.1"]).await?, &head, request).await,
        _ => exchange(tcp, &head, request).await,
    }
}

fn head(request: &Request, authority: &str, path: &str) -> String {
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    let has = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !has("host") {
        head.push_str(&format!("Host: {authority}\r\n"));
    }
    if !has("connection") {
        head.push_str("Connection: close\r\n");
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = &request.body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    head
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    head: &str,
    request: &Request,
) -> anyhow::Result<Response> {
    let mut out = head.as_bytes().to_vec();
    out.extend(request.body.as_deref().unwrap_or_default().as_bytes());
    stream.write_all(&out).await?;
    stream.flush().await?;
    let mut raw = Vec::new();
    loop {
        if let Some(done) = parse(&raw, request.method == "HEAD", false)? {
            return Ok(done);
        }
        anyhow::ensure!(raw.len() < MAX_RESPONSE, "the response is too long");
        // TLS peers often close without close_notify; what came so far decides.
        if stream.read_buf(&mut raw).await.unwrap_or(0) == 0 {
            return parse(&raw, request.method == "HEAD", true)?
                .context("the server closed the connection without a whole response");
        }
    }
}

/// `None`: the response is not complete yet.
fn parse(raw: &[u8], no_body: bool, at_end: bool) -> anyhow::Result<Option<Response>> {
    let Some(end) = find(raw, b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&raw[..end]);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).context("no status line")?;
    let headers = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned()))
        .collect();
    let mut response = Response { status: status.parse()?, headers, body: String::new() };
    let body = &raw[end + 4..];
    let bodiless = no_body || matches!(response.status, 101 | 204 | 304);
    let body = if bodiless {
        Some(Vec::new())
    } else if response.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        unchunk(body)
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse()?;
        (body.len() >= length).then(|| body[..length].to_vec())
    } else {
        at_end.then(|| body.to_vec())
    };
    Ok(body.map(|b| {
        response.body = String::from_utf8_lossy(&b).into_owned();
        response
    }))
}

fn unchunk(mut raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = find(raw, b"\r\n")?;
        let size = String::from_utf8_lossy(&raw[..end]);
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        raw = &raw[end + 2..];
        if size == 0 {
            return Some(out);
        }
        out.extend(raw.get(..size)?);
        raw = raw.get(size + 2..)?;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_each_kind() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(parse(chunked, false, false).unwrap().unwrap().body, "abc");
        assert!(parse(&chunked[..chunked.len() - 6], false, false).unwrap().is_none());
        let sized = b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nab";
        let got = parse(sized, false, false).unwrap().unwrap();
        assert_eq!((got.status, got.body.as_str()), (404, "ab"));
        let open = b"HTTP/1.1 200 OK\r\n\r\nab";
        assert!(parse(open, false, false).unwrap().is_none());
        assert_eq!(parse(open, false, true).unwrap().unwrap().body, "ab");
    }
}
