/// What a listener serves; decides ALPN and whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// TLS begun by STARTTLS on a client stream.
    C2s,
    /// Direct TLS for clients (XEP-0368).
    C2sDirect,
    /// TLS begun by STARTTLS on a server stream.
    S2s,
    /// Direct TLS for servers (XEP-0368).
    S2sDirect,
    Https,
    /// TURN over TLS (RFC 7443 names its protocols).
    Turns,
}

impl ListenerKind {
    pub const ALL: [Self; 6] =
        [Self::C2s, Self::C2sDirect, Self::S2s, Self::S2sDirect, Self::Https, Self::Turns];

    /// Protocols in the order of our preference. A client that offers none of them gets the
    /// alert no_application_protocol (RFC 7301 §3.2); one that offers nothing is let in.
    /// Empty: its offer is ignored. After STARTTLS the protocol is settled already, and some
    /// clients offer what their library was set to for HTTP.
    pub(crate) fn alpn(self) -> &'static [Alpn] {
        match self {
            Self::C2s | Self::S2s => &[],
            Self::C2sDirect => &[Alpn::XmppClient],
            Self::S2sDirect => &[Alpn::XmppServer],
            Self::Https => &[Alpn::H2, Alpn::Http11],
            Self::Turns => &[Alpn::StunTurn],
        }
    }

    /// Servers authenticate by certificate (SASL EXTERNAL); clients where the operator says so.
    pub(crate) fn requests_certificate(self, from_clients: bool) -> bool {
        match self {
            Self::S2s | Self::S2sDirect => true,
            Self::C2s | Self::C2sDirect => from_clients,
            // A browser would show a certificate chooser to everyone who has one installed.
            Self::Https | Self::Turns => false,
        }
    }

    /// Whether the first bytes on the connection are TLS, as tls-alpn-01 needs (RFC 8737 §3).
    pub(crate) fn is_direct(self) -> bool {
        !matches!(self, Self::C2s | Self::S2s)
    }
}

/// An application protocol that was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    XmppClient,
    XmppServer,
    H2,
    Http11,
    StunTurn,
}

impl Alpn {
    const ALL: [Self; 5] =
        [Self::XmppClient, Self::XmppServer, Self::H2, Self::Http11, Self::StunTurn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::XmppClient => "xmpp-client",
            Self::XmppServer => "xmpp-server",
            Self::H2 => "h2",
            Self::Http11 => "http/1.1",
            Self::StunTurn => "stun.turn",
        }
    }

    pub(crate) fn from_bytes(id: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|alpn| alpn.as_str().as_bytes() == id)
    }
}
