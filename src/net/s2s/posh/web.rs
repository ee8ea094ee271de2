//! The few requests that POSH needs: HTTPS to where servers may be looked for, too.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::PoshError;
use crate::s2s::connect::dial;
use crate::s2s::lookup::{Resolver, Target};
use crate::tls::crypto_provider;

const PORT: u16 = 443;
/// For one answer, with all its redirections.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_REDIRECTIONS: usize = 5;
/// Some hundred bytes for each certificate.
const MAX_BODY: usize = 64 * 1024;

pub struct Web {
    tls: TlsConnector,
}

impl Web {
    pub fn new(roots: RootCertStore) -> Result<Web, rustls::Error> {
        let config = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Web { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// What is there. Redirections are followed (RFC 7711, section 3), to https alone.
    pub async fn get(&self, resolver: &Resolver, url: Uri) -> Result<Vec<u8>, PoshError> {
        timeout(PATIENCE, self.follow(resolver, url)).await.map_err(|_| PoshError::TooSlow)?
    }

    async fn follow(&self, resolver: &Resolver, mut url: Uri) -> Result<Vec<u8>, PoshError> {
        for _ in 0..=MAX_REDIRECTIONS {
            let answer = self.ask(resolver, &url).await?;
            match answer.status() {
                StatusCode::OK => return Ok(answer.into_body().to_vec()),
                status if status.is_redirection() => {
                    let place = answer.headers().get(LOCATION).and_then(|it| it.to_str().ok());
                    let place = place.ok_or(PoshError::Status(status.as_u16()))?;
                    url = place.parse().map_err(|_| PoshError::Url(place.to_owned()))?;
                }
                status => return Err(PoshError::Status(status.as_u16())),
            }
        }
        Err(PoshError::TooFar)
    }

    async fn ask(&self, resolver: &Resolver, url: &Uri) -> Result<Response<Bytes>, PoshError> {
        let no_url = || PoshError::Url(url.to_string());
        let host = url.host().filter(|_| url.scheme_str() == Some("https")).ok_or_else(no_url)?;
        let host = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| no_url())?;
        let target = Target::new(host, url.port_u16().unwrap_or(PORT), true);
        let stream = dial(resolver, &target).await.map_err(|error| unreachable(&error))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| unreachable(&error))?;
        let request = Request::get(url.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, url.authority().map_or(host, |authority| authority.as_str()))
            .body(Empty::<Bytes>::new())
            .map_err(|_| no_url())?;
        exchange(stream, request).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Bytes>, PoshError> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| unreachable(&error))?;
    let answer = async {
        let (parts, body) =
            sender.send_request(request).await.map_err(|error| unreachable(&error))?.into_parts();
        let body =
            Limited::new(body, MAX_BODY).collect().await.map_err(|error| match error
                .is::<LengthLimitError>(
            ) {
                true => PoshError::TooLong,
                false => unreachable(&error),
            })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    // It carries the answer, and may end while that is still being read.
    let carry = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = carry => match never {},
    }
}

fn unreachable(error: &impl ToString) -> PoshError {
    PoshError::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http_body_util::Full;
    use hyper::server::conn::http1 as serving;
    use hyper::service::service_fn;
    use rcgen::SanType;
    use rustls::ServerConfig;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use wello_kernel::config::S2s;

    use super::*;
    use crate::tls::testing::{Issued, TestCa, leaf};

    /// A web server, and who trusts it.
    async fn start() -> (SocketAddr, Web, Resolver) {
        let authority = TestCa::new();
        let mut params = leaf(&[]);
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let Issued { chain, key, .. } = authority.issue(&params);
        let config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
        (address, Web::new(authority.roots()).unwrap(), resolver(&["127.0.0.0/8"]))
    }

    fn resolver(private_networks: &[&str]) -> Resolver {
        let private_networks = private_networks.iter().map(|it| (*it).to_owned()).collect();
        Resolver::new(&S2s { private_networks, ..S2s::default() }).unwrap()
    }

    async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request)));
            let _ = serving::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    }

    fn answer<B>(request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, place, body) = match request.uri().path() {
            "/here" => (200, "", "document".to_owned()),
            "/moved" => (302, "/here", String::new()),
            "/round" => (301, "/round", String::new()),
            "/plain" => (301, "http:", String::new()),
            "/long" => (200, "", "x".repeat(MAX_BODY + 1)),
            _ => (404, "", String::new()),
        };
        let host = request.headers()[HOST].to_str().unwrap();
        let place = match place {
            "http:" => format!("http://{host}/here"),
            path => format!("https://{host}{path}"),
        };
        let builder = Response::builder().status(status).header(LOCATION, place);
        builder.body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn redirections_are_followed_to_https_and_not_for_ever() {
        let (address, web, resolver) = start().await;
        let get = async |path: &str| {
            let url = format!("https://{address}{path}").parse().unwrap();
            web.get(&resolver, url).await
        };
        assert_eq!(get("/here").await, Ok(b"document".to_vec()));
        assert_eq!(get("/moved").await, Ok(b"document".to_vec()));
        assert_eq!(get("/round").await, Err(PoshError::TooFar));
        assert_eq!(get("/plain").await, Err(PoshError::Url(format!("http://{address}/here"))));
        assert_eq!(get("/long").await, Err(PoshError::TooLong));
        assert_eq!(get("/nowhere").await, Err(PoshError::Status(404)));
    }

    #[tokio::test]
    async fn nobody_is_asked_who_is_not_public_or_not_trusted() {
        let (address, web, here) = start().await;
        let url: Uri = format!("https://{address}/here").parse().unwrap();
        let refused = web.get(&resolver(&[]), url.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("no address that may be connected to"), "{refused}");
        let stranger = Web::new(RootCertStore::empty()).unwrap();
        let refused = stranger.get(&here, url).await.unwrap_err();
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
}
