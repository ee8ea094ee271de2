//! From a domain to a connection with its server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use wello_stream::s2s::{Domain, Pair};

use super::S2sServer;
use super::dane::Associations;
use super::lookup::{LookupError, Resolver, Target};
use super::socket::Socket;
use crate::listener::{Liveness, configure};
use crate::tls::HostName;

/// Before the next address is tried as well (RFC 8305, section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// For one target: several may be dead.
const TARGET_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("{0}: {1}")]
    Unreachable(String, std::io::Error),
    #[error("{0}: no answer")]
    Timeout(String),
    #[error("{0}: TLS: {1}")]
    Tls(String, std::io::Error),
    #[error("{0} is no name for TLS")]
    Name(Domain),
}

/// A connection, with the certificates of the other server if TLS is up.
pub struct Connected {
    pub socket: Socket,
    pub certificates: Option<Vec<CertificateDer<'static>>>,
    /// What DNS says of them.
    pub associations: Associations,
}

/// After the handshake, with the certificates of the other server.
pub struct Secured {
    pub socket: Socket,
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Tries all places where the server may be, one after the other.
pub async fn connect(server: &S2sServer, pair: &Pair) -> Result<Connected, ConnectError> {
    let mut last = None;
    for target in server.resolver.targets(&pair.to).await? {
        let name = format!("{}:{}", target.host, target.port);
        let attempt = timeout(TARGET_TIMEOUT, reach(server, pair, &target)).await;
        match attempt.unwrap_or(Err(ConnectError::Timeout(name))) {
            Ok(connected) => return Ok(connected),
            Err(error) => {
                tracing::debug!(%pair, %error, "not reached");
                last = Some(error);
            }
        }
    }
    // There is at least one target.
    Err(last.unwrap_or_else(|| LookupError::NoServer(pair.to.to_string()).into()))
}

async fn reach(
    server: &S2sServer,
    pair: &Pair,
    target: &Target,
) -> Result<Connected, ConnectError> {
    let associations = server.resolver.associations(target).await?;
    let stream = dial(&server.resolver, target).await?;
    if !target.direct {
        return Ok(Connected { socket: Socket::Tcp(stream), certificates: None, associations });
    }
    let Secured { socket, certificates } = secure(server, pair, stream, true).await?;
    Ok(Connected { socket, certificates: Some(certificates), associations })
}

/// A bare connection with one of the addresses of a target.
pub async fn dial(resolver: &Resolver, target: &Target) -> Result<TcpStream, ConnectError> {
    let addresses = resolver.addresses(target).await?;
    race(&addresses)
        .await
        .map_err(|(at, error)| ConnectError::Unreachable(format!("{} ({at})", target.host), error))
}

/// Begins TLS with the certificate of our domain.
pub async fn secure(
    server: &S2sServer,
    pair: &Pair,
    stream: TcpStream,
    direct: bool,
) -> Result<Secured, ConnectError> {
    let host = server.certificates.lookup(Some(pair.from.as_str()));
    handshake(Ok(host.client_config(direct)), &pair.to, stream).await
}

/// Begins TLS as the client.
pub async fn handshake(
    config: Result<Arc<ClientConfig>, rustls::Error>,
    domain: &Domain,
    stream: TcpStream,
) -> Result<Secured, ConnectError> {
    let failed = |error| ConnectError::Tls(domain.to_string(), error);
    let config = config.map_err(|error| failed(std::io::Error::other(error)))?;
    let name = match HostName::new(domain.as_str()) {
        Some(HostName::Dns(name)) => ServerName::try_from(name.to_string()).ok(),
        Some(HostName::Ip(address)) => Some(ServerName::from(address)),
        None => None,
    };
    let name = name.ok_or_else(|| ConnectError::Name(domain.clone()))?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|one| one.clone().into_owned()).collect();
    Ok(Secured { socket: Socket::Tls(Box::new(stream)), certificates })
}

/// The first connection that is made; an attempt that is slow is joined by the next one (RFC 8305,
/// section 5). Fails with the last error if none is.
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, (SocketAddr, std::io::Error)> {
    let mut rest = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let attempt = |address: SocketAddr| async move {
        let stream = TcpStream::connect(address).await;
        let configured = stream.and_then(|stream| {
            configure(&stream, Liveness::default())?;
            Ok(stream)
        });
        configured.map_err(|error| (address, error))
    };
    let none = || std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    let mut failure = (SocketAddr::from(([0, 0, 0, 0], 0)), none());
    attempts.extend(rest.next().map(attempt));
    loop {
        let more = rest.len() > 0;
        tokio::select! {
            ended = attempts.next(), if !attempts.is_empty() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => {
                    failure = error;
                    attempts.extend(rest.next().map(attempt));
                }
                None => {}
            },
            () = sleep(ATTEMPT_DELAY), if more => attempts.extend(rest.next().map(attempt)),
            else => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_first_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = race(&[refused, refused, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert_eq!(race(&[refused]).await.unwrap_err().0, refused);
        assert!(race(&[]).await.is_err());
    }
}
