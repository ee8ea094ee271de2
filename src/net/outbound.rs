//! The client for HTTPS requests to addresses that others name: to public addresses alone, without
//! redirects, with bounds on time and size.

use std::collections::HashSet;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use wello_kernel::outbound::{WebAnswer, WebClient, WebError, WebRequest};

use crate::ip_network::IpNetwork;
use crate::tls::crypto_provider;

/// From the first byte to the last: whoever waits for us gives up after 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers of push services have some hundred bytes.
const MAX_BODY: usize = 64 * 1024;
const IDLE: Duration = Duration::from_secs(90);
/// A connection of HTTP/2 is shared by all requests: one that is dead is noticed within a request, so
/// that the next try gets another.
const ALIVE: Duration = Duration::from_secs(5);
const IDLE_PER_HOST: usize = 4;

/// IPv4 ranges that are not reachable from everywhere (IANA's registry of special addresses),
/// multicast and what is reserved.
const NOT_PUBLIC_V4: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// Global unicast, and what is special in it: protocols such as Teredo, documentation, 6to4.
const PUBLIC_V6: &str = "2000::/3";
const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
/// IPv4 behind a translator (RFC 6052): as public as what it carries.
const NAT64: &str = "64:ff9b::/96";

/// Whether packets to an address leave the operator's own networks.
pub fn is_public(address: IpAddr) -> bool {
    let within = |range: &str| {
        range.parse::<IpNetwork>().is_ok_and(|network| network.contains(address.to_canonical()))
    };
    match address.to_canonical() {
        IpAddr::V4(_) => !NOT_PUBLIC_V4.into_iter().any(within),
        IpAddr::V6(v6) if within(NAT64) => is_public(carried(v6)),
        IpAddr::V6(_) => within(PUBLIC_V6) && !NOT_PUBLIC_V6.into_iter().any(within),
    }
}

fn carried(v6: Ipv6Addr) -> IpAddr {
    let [.., a, b, c, d] = v6.octets();
    IpAddr::from([a, b, c, d])
}

/// Host names that the operator trusts although their addresses are not public.
type PrivateHosts = Arc<HashSet<String>>;

pub struct OutboundClient {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    private_hosts: PrivateHosts,
}

impl OutboundClient {
    /// `private_hosts` may have any address, by name or as the address itself.
    pub fn new(
        roots: RootCertStore,
        private_hosts: impl IntoIterator<Item = String>,
    ) -> Result<OutboundClient, rustls::Error> {
        let tls = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let private_hosts: PrivateHosts =
            Arc::new(private_hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect());
        let resolver = Resolver { private_hosts: Arc::clone(&private_hosts) };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(ALIVE)
            .http2_keep_alive_timeout(ALIVE)
            .build(connector);
        Ok(OutboundClient { client, private_hosts })
    }

    fn request(&self, request: WebRequest) -> Result<Request<Full<Bytes>>, WebError> {
        let url: Uri = request.url.parse().map_err(|_| WebError::Url)?;
        let host = url.host().filter(|_| url.scheme_str() == Some("https"));
        let host = host.ok_or(WebError::Url)?.to_ascii_lowercase();
        // An address is not looked up, so the resolver does not see it.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = literal
            && !is_public(address)
            && !self.private_hosts.contains(&host)
        {
            return Err(WebError::Forbidden(host));
        }
        let mut builder = Request::builder().method(Method::POST).uri(url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        builder.body(Full::new(request.body)).map_err(|_| WebError::Url)
    }
}

#[async_trait::async_trait]
impl WebClient for OutboundClient {
    async fn post(&self, request: WebRequest) -> Result<WebAnswer, WebError> {
        let request = self.request(request)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| failed(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
                match error.is::<http_body_util::LengthLimitError>() {
                    true => WebError::TooLong,
                    false => WebError::Unreachable(error.to_string()),
                }
            })?;
            Ok(WebAnswer {
                status: parts.status.as_u16(),
                retry_after: retry_after(&parts.headers, SystemTime::now()),
                body: body.to_bytes(),
            })
        };
        timeout(REQUEST_TIMEOUT, exchange).await.map_err(|_| WebError::TooSlow)?
    }
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    SystemTime::from(date.timestamp()).duration_since(now).ok()
}

/// The innermost cause says what is wrong; "client error (Connect)" does not.
fn failed(error: &hyper_util::client::legacy::Error) -> WebError {
    let mut cause: &dyn Error = error;
    loop {
        if let Some(NotPublic(host)) = inner::<NotPublic>(cause) {
            return WebError::Forbidden(host.clone());
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => return WebError::Unreachable(cause.to_string()),
        }
    }
}

fn inner<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref().or_else(|| wrapped.and_then(|wrapped| wrapped.downcast_ref()))
}

#[derive(Debug, thiserror::Error)]
#[error("{0} has no public address")]
struct NotPublic(String);

/// Looks names up and leaves what is public. The connection goes to what is returned here: nothing
/// is looked up again, so an answer that changes meanwhile changes nothing.
#[derive(Clone)]
struct Resolver {
    private_hosts: PrivateHosts,
}

type Found = std::vec::IntoIter<SocketAddr>;

impl tower::Service<Name> for Resolver {
    type Response = Found;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Found>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private_hosts = Arc::clone(&self.private_hosts);
        Box::pin(async move {
            let name = name.as_str().to_ascii_lowercase();
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let trusted = private_hosts.contains(&name);
            let usable: Vec<SocketAddr> =
                all.into_iter().filter(|found| trusted || is_public(found.ip())).collect();
            match usable.is_empty() {
                true => Err(io::Error::other(NotPublic(name))),
                false => Ok(usable.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(private_hosts: &[&str]) -> OutboundClient {
        let hosts = private_hosts.iter().map(|host| (*host).to_owned());
        OutboundClient::new(RootCertStore::empty(), hosts).unwrap()
    }

    fn to(url: &str) -> WebRequest {
        WebRequest { url: url.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    #[test]
    fn addresses_by_class() {
        let all = |list: &str, public| {
            for address in list.split_whitespace() {
                assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
            }
        };
        all("1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.128.0.1 192.0.1.1 198.20.0.1", true);
        all("0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1", false);
        all("169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1", false);
        all("192.168.0.1 198.18.0.1 198.19.0.1 198.51.100.1 203.0.113.1 224.0.0.1", false);
        all("239.1.1.1 240.0.0.1 255.255.255.255", false);
        all("2606:4700::1111 2a00:1450::1 64:ff9b::8.8.8.8 ::ffff:8.8.8.8", true);
        all(":: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::10.0.0.1", false);
        all("64:ff9b:1::1 100::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1 2001::1", false);
        all("2001:db8::1 2002:7f00:1::1 3fff::1 5f00::1", false);
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_asked() {
        let client = client(&[]);
        let ask = async |url: &str| client.post(to(url)).await.unwrap_err();
        for url in ["http://push.example/", "push.example", "ftp://push.example/", "https://", ""] {
            assert_eq!(ask(url).await, WebError::Url, "{url}");
        }
        for host in ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "LOCALHOST"] {
            let forbidden = WebError::Forbidden(host.to_ascii_lowercase());
            assert_eq!(ask(&format!("https://{host}:1/")).await, forbidden);
        }
        // Other ways to write 127.0.0.1, which the operating system takes for it.
        for host in ["127.1", "0x7f.1", "2130706433"] {
            let error = ask(&format!("https://{host}:1/")).await;
            // Port 1 would refuse the connection.
            assert!(!error.to_string().contains("onnection"), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn the_operator_lets_named_hosts_be_asked() {
        // Nobody listens on port 1, which is found out by trying.
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let client = client(&[host]);
            let error = client.post(to(&format!("https://{host}:1/"))).await.unwrap_err();
            assert!(matches!(error, WebError::Unreachable(_)), "{host}: {error}");
            let other = client.post(to("https://127.0.0.2:1/")).await.unwrap_err();
            assert!(matches!(other, WebError::Forbidden(_)), "{other}");
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:37 GMT"), None);
        assert_eq!(wait("soon"), None);
    }
}
