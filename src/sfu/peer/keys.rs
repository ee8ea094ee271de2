//! The keys of a leg's media, taken where its handshake has made them: str0m keeps them for itself, but
//! lets others make the handshake for it.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use str0m::config::CryptoProvider;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
    SrtpProfile,
};
use str0m::crypto::{CryptoError, from_feature_flags};

/// What a handshake has come to (RFC 5764, section 4.2).
pub struct Keys {
    pub profile: SrtpProfile,
    pub material: Vec<u8>,
    pub is_client: bool,
}

/// Where the keys of one leg are put as soon as there are any.
pub type Handover = Arc<OnceLock<Keys>>;

thread_local! {
    /// For the handshake that this thread sets up next: str0m does not say for whom it asks.
    static NEXT: RefCell<Handover> = RefCell::default();
}

/// Sets up a transport within `open`, and says where its keys are going to be.
pub fn handed_over<T>(open: impl FnOnce() -> T) -> (T, Handover) {
    let handover = Handover::default();
    NEXT.set(Arc::clone(&handover));
    let opened = open();
    NEXT.take();
    (opened, handover)
}

/// Cryptography as str0m brings it, but for handshakes that hand over their keys.
pub fn crypto() -> CryptoProvider {
    static HANDSHAKES: LazyLock<Handshakes> = LazyLock::new(|| Handshakes(from_feature_flags()));
    CryptoProvider { dtls_provider: &*HANDSHAKES, ..HANDSHAKES.0.clone() }
}

#[derive(Debug)]
struct Handshakes(CryptoProvider);

impl DtlsProvider for Handshakes {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = self.0.dtls_provider.new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(Handshake { inner, handover: NEXT.take() }))
    }
}

struct Handshake {
    inner: Box<dyn DtlsInstance>,
    handover: Handover,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let is_client = self.inner.is_active();
        let output = self.inner.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            let (profile, material) = (*profile, material.to_vec());
            // There is one handshake for each instance.
            let _ = self.handover.set(Keys { profile, material, is_client });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
