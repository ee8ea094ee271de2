//! The PROXY protocol, versions 1 and 2: how a load balancer in front of us says who connected
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The longest version 1 header in bytes, CR LF included (§2.1).
const V1_MAX: usize = 107;
/// The fixed part of version 2 (§2.2).
const V2_FIXED: usize = 16;
/// The variable part of version 2. A sender must fit the header into a segment of 536 bytes
/// (§2), so more is not sent by any honest proxy.
const V2_VARIABLE_MAX: usize = 536;
/// Both versions can be told apart by their first bytes, and neither is shorter: the shortest
/// version 1 header is `PROXY UNKNOWN` and CR LF.
const SIGNATURE: usize = 12;

/// Who talks to whom, as the proxy saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxiedAddresses {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// Why a connection that had to begin with a PROXY header is closed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("no complete PROXY header in time")]
    Timeout,
    #[error("connection lost before the end of the PROXY header: {0}")]
    Io(#[from] io::Error),
    #[error("malformed PROXY header")]
    Malformed,
}

/// Reads the header and not a byte more. None: the proxy speaks for itself (a health check:
/// LOCAL) or does not know (UNKNOWN, UNSPEC); the addresses of the socket hold.
pub async fn read_header<IO: AsyncRead + Unpin>(
    io: &mut IO,
    limit: Duration,
) -> Result<Option<ProxiedAddresses>, ProxyHeaderError> {
    timeout(limit, read(io)).await.map_err(|_| ProxyHeaderError::Timeout)?
}

async fn read<IO: AsyncRead + Unpin>(
    io: &mut IO,
) -> Result<Option<ProxiedAddresses>, ProxyHeaderError> {
    let mut header = [0; V2_FIXED + V2_VARIABLE_MAX];
    io.read_exact(&mut header[..SIGNATURE]).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        io.read_exact(&mut header[SIGNATURE..V2_FIXED]).await?;
        let variable = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if variable > V2_VARIABLE_MAX {
            return Err(ProxyHeaderError::Malformed);
        }
        let end = V2_FIXED + variable;
        io.read_exact(&mut header[V2_FIXED..end]).await?;
        return parse_v2(&header[..end]);
    }
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(ProxyHeaderError::Malformed);
    }
    let mut end = SIGNATURE;
    // Byte by byte: what follows the line belongs to the client.
    while header[end - 1] != b'\n' {
        if end == V1_MAX {
            return Err(ProxyHeaderError::Malformed);
        }
        header[end] = io.read_u8().await?;
        end += 1;
    }
    parse_v1(&header[..end])
}

fn parse_v1(header: &[u8]) -> Result<Option<ProxiedAddresses>, ProxyHeaderError> {
    let parsed = v1::Header::try_from(header).map_err(|_| ProxyHeaderError::Malformed)?;
    // The parser stops at the first CR; the line has to end there.
    if parsed.header.len() != header.len() {
        return Err(ProxyHeaderError::Malformed);
    }
    Ok(match parsed.addresses {
        v1::Addresses::Tcp4(ip) => Some(proxied(
            (ip.source_address, ip.source_port).into(),
            (ip.destination_address, ip.destination_port).into(),
        )),
        v1::Addresses::Tcp6(ip) => Some(proxied(
            (ip.source_address, ip.source_port).into(),
            (ip.destination_address, ip.destination_port).into(),
        )),
        v1::Addresses::Unknown => None,
    })
}

fn parse_v2(header: &[u8]) -> Result<Option<ProxiedAddresses>, ProxyHeaderError> {
    let parsed = v2::Header::try_from(header).map_err(|_| ProxyHeaderError::Malformed)?;
    if parsed.command == v2::Command::Local {
        return Ok(None);
    }
    if parsed.protocol == v2::Protocol::Datagram {
        return Err(ProxyHeaderError::Malformed);
    }
    Ok(match parsed.addresses {
        v2::Addresses::IPv4(ip) => Some(proxied(
            (ip.source_address, ip.source_port).into(),
            (ip.destination_address, ip.destination_port).into(),
        )),
        v2::Addresses::IPv6(ip) => Some(proxied(
            (ip.source_address, ip.source_port).into(),
            (ip.destination_address, ip.destination_port).into(),
        )),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

fn proxied(peer: SocketAddr, local: SocketAddr) -> ProxiedAddresses {
    ProxiedAddresses { peer: canonical(peer), local: canonical(local) }
}

/// An IPv4 address as such, not as `::ffff:…`.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn addresses(peer: &str, local: &str) -> Option<ProxiedAddresses> {
        Some(ProxiedAddresses { peer: peer.parse().unwrap(), local: local.parse().unwrap() })
    }

    /// Feeds `bytes` and an end of file; gives the result and what was left unread.
    async fn feed(bytes: &[u8]) -> (Result<Option<ProxiedAddresses>, ProxyHeaderError>, Vec<u8>) {
        let mut input = bytes;
        let result = read_header(&mut input, LIMIT).await;
        (result, input.to_vec())
    }

    fn v2(command: u8, family: u8, variable: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(variable.len()).unwrap().to_be_bytes());
        header.extend(variable);
        header
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xC0, 0, 0x14, 0x66];

    #[tokio::test]
    async fn version_1() {
        for (line, expected) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 49152 5222\r\n",
                addresses("192.0.2.1:49152", "198.51.100.2:5222"),
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:db8::2 49152 5222\r\n",
                addresses("[2001:db8::1]:49152", "[2001:db8::2]:5222"),
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n",
                addresses("192.0.2.1:1", "198.51.100.2:2"),
            ),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ff:: whatever\r\n", None),
        ] {
            let (result, rest) = feed(format!("{line}<?xml").as_bytes()).await;
            assert_eq!(result.unwrap(), expected, "{line:?}");
            assert_eq!(rest, b"<?xml", "{line:?}");
        }
    }

    #[tokio::test]
    async fn version_2() {
        let (result, rest) = feed(&[v2(1, 0x11, &V4), b"<?xml".to_vec()].concat()).await;
        assert_eq!(result.unwrap(), addresses("192.0.2.1:49152", "198.51.100.2:5222"));
        assert_eq!(rest, b"<?xml");

        let with_tlv = [&V4[..], &[0x02, 0, 3, b'a', b'b', b'c']].concat();
        let (result, rest) = feed(&v2(1, 0x11, &with_tlv)).await;
        assert_eq!(result.unwrap(), addresses("192.0.2.1:49152", "198.51.100.2:5222"));
        assert!(rest.is_empty());

        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[31] = 2;
        v6[35] = 9;
        let (result, _) = feed(&v2(1, 0x21, &v6)).await;
        assert_eq!(result.unwrap(), addresses("[::1]:0", "[::2]:9"));
    }

    #[tokio::test]
    async fn the_proxy_itself() {
        for header in [v2(0, 0x00, &[]), v2(0, 0x11, &V4), v2(1, 0x00, &[]), v2(1, 0x31, &[0; 216])]
        {
            assert_eq!(feed(&header).await.0.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn malformed() {
        let long_v1 = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MAX));
        let cases: Vec<Vec<u8>> = vec![
            b"<?xml version='1.0'?>".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 49152\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 70000\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.300 198.51.100.2 1 2\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r \n".to_vec(),
            b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
            b"PROXYTCP4 192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
            long_v1.into_bytes(),
            v2(2, 0x11, &V4),
            v2(1, 0x11, &V4[..11]),
            v2(1, 0x41, &V4),
            v2(1, 0x12, &V4),
            v2(1, 0x11, &[0; V2_VARIABLE_MAX + 1]),
        ];
        for bytes in cases {
            let (result, _) = feed(&bytes).await;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(matches!(result, Err(ProxyHeaderError::Malformed)), "{text:?} {result:?}");
        }
        assert!(
            feed(&v2(1, 0x11, &[&V4[..], &[0; V2_VARIABLE_MAX - 12]].concat())).await.0.is_ok()
        );
    }

    #[tokio::test]
    async fn cut_off() {
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n";
        for end in 0..header.len() {
            let (result, _) = feed(&header[..end]).await;
            assert!(matches!(result, Err(ProxyHeaderError::Io(_))), "{end}");
        }
        let header = v2(1, 0x11, &V4);
        for end in 0..header.len() {
            let (result, _) = feed(&header[..end]).await;
            assert!(matches!(result, Err(ProxyHeaderError::Io(_))), "{end}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn drip_feeding_does_not_extend_the_time() {
        let (mut near, mut far) = duplex(64);
        let started = Instant::now();
        let slow = async {
            for byte in b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n" {
                far.write_u8(*byte).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            result = read_header(&mut near, LIMIT) => {
                assert!(matches!(result, Err(ProxyHeaderError::Timeout)));
            }
            () = slow => panic!("no timeout"),
        }
        assert_eq!(started.elapsed(), LIMIT);
    }

    proptest! {
        /// Whatever comes: an answer, and never more read than the longest header.
        #[test]
        fn arbitrary_input(
            prefix in prop_oneof![
                Just(Vec::new()),
                Just(b"PROXY ".to_vec()),
                Just(b"PROXY TCP4 ".to_vec()),
                Just(b"\r\n\r\n\0\r\nQUIT\n!".to_vec()),
            ],
            bytes in prop::collection::vec(any::<u8>(), 0..700),
        ) {
            let input = [prefix, bytes].concat();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let (_, rest) = runtime.block_on(feed(&input));
            prop_assert!(input.len() - rest.len() <= V2_FIXED + V2_VARIABLE_MAX);
        }

        #[test]
        fn version_1_round_trip(a: [u8; 4], b: [u8; 4], from: u16, to: u16) {
            let (peer, local) = (SocketAddr::from((a, from)), SocketAddr::from((b, to)));
            let line = format!("PROXY TCP4 {} {} {from} {to}\r\n", peer.ip(), local.ip());
            prop_assert_eq!(
                parse_v1(line.as_bytes()).unwrap(),
                Some(ProxiedAddresses { peer, local })
            );
        }
    }
}
