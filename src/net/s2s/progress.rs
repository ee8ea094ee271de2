//! What TCP knows of the bytes of a connection (`TCP_INFO`, Linux 4.19 or newer).

use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, libc, sockopt_impl};
use tokio::net::TcpStream;
use wello_stream::s2s::Progress;

/// The beginning of `struct tcp_info` of `linux/tcp.h`. The kernel gives as much of its own as is asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    state: u8,
    flags: [u8; 7],
    from_rto_to_total_retrans: [u32; 24],
    pacing_rates: [u64; 2],
    bytes_acked: u64,
    bytes_received: u64,
    segments: [u32; 2],
    notsent_bytes: u32,
    from_min_rtt_to_data_segs_out: [u32; 3],
    from_delivery_rate_to_sndbuf_limited: [u64; 4],
    delivered: [u32; 2],
    bytes_sent: u64,
    bytes_retrans: u64,
}

const CLOSED: u8 = 7;

sockopt_impl!(Info, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfo);

/// Also of a connection that has ended, as it was then. Where we connected, and something is under way, `received`
/// is one too many, for the SYN; so short a rest of a TLS record would have to be a segment of its own.
pub fn of(stream: &TcpStream) -> Option<Progress> {
    let info = getsockopt(stream, Info).ok()?;
    let sent = info.bytes_sent.saturating_sub(info.bytes_retrans);
    Some(Progress {
        written: sent + u64::from(info.notsent_bytes),
        sent,
        received: info.bytes_acked.min(sent),
        is_open: info.state != CLOSED,
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(connecting, listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn what_the_other_side_has_is_received() {
        let (ours, theirs) = pair().await;
        arrives(ours, theirs).await;
        let (ours, theirs) = pair().await;
        arrives(theirs, ours).await;
    }

    async fn arrives(mut from: TcpStream, mut to: TcpStream) {
        from.write_all(&[0; 1000]).await.unwrap();
        to.read_exact(&mut [0; 1000]).await.unwrap();
        while of(&from).unwrap().received < 1000 {
            yield_now().await;
        }
        let now = of(&from).unwrap();
        assert_eq!(now, Progress { written: 1000, sent: 1000, received: 1000, is_open: true });
    }

    #[tokio::test]
    async fn of_what_does_not_fit_the_end_is_not_sent_and_that_stays_known() {
        let (mut from, to) = pair().await;
        let mut written = 0;
        let all = vec![0; 1024 * 1024];
        from.writable().await.unwrap();
        while let Ok(count) = from.try_write(&all) {
            written += count as u64;
        }
        let before = of(&from).unwrap();
        assert_eq!(before.written, written);
        assert!(before.received <= before.sent && before.sent < written, "{before:?}");
        // With bytes that nobody has read, this resets the connection.
        drop(to);
        from.write_all(&[0; 64 * 1024 * 1024]).await.unwrap_err();
        let after = of(&from).unwrap();
        assert!(!after.is_open && after.sent < written, "{after:?}");
    }
}
