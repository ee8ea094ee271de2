//! Slots for files (XEP-0363). The files themselves come and go by HTTP.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::files::{Files, SlotError, Wish, media_type};
use wello_kernel::hooks::{AccountEvents, Chore, IqAnswer, IqRequest, Request, Service};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::{Timestamp, UploadPurpose};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::{DiscoInfo, Identity};
use wello_wire::payload::upload::{Purpose, Slot, SlotRequest, file_too_large, quota_reached};

pub struct Upload {
    /// The addresses of the service.
    domains: Vec<String>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0363",
    title: "HTTP File Upload",
    version: "1.2.0",
    status: Status::Complete,
    host_features: &[],
    account_features: &[],
}];

/// Features of the service: each purpose is one.
const FEATURES: [&str; 5] = [
    ns::HTTP_UPLOAD,
    "urn:xmpp:http:upload:purpose:0#message",
    "urn:xmpp:http:upload:purpose:0#profile",
    "urn:xmpp:http:upload:purpose:0#ephemeral",
    "urn:xmpp:http:upload:purpose:0#permanent",
];

/// Files are kept for days, so an hour more does no harm; those that may not be seen any more are
/// not, from the second on.
const INTERVAL: Duration = Duration::from_secs(3600);

impl Upload {
    /// `None` where files cannot be uploaded, because they are switched off or no web address of
    /// the server is known.
    pub fn new(config: &Config) -> Option<Upload> {
        let hosts = config.domains().into_iter().filter(|host| config.web_address(host).is_some());
        let domains: Vec<String> = hosts.map(|host| format!("upload.{host}")).collect();
        (config.uploads.enabled && !domains.is_empty()).then_some(Upload { domains })
    }
}

impl Module for Upload {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for domain in &self.domains {
            registrar.service(domain.clone(), Arc::clone(&self) as _);
        }
        registrar.accounts(Arc::clone(&self) as _);
        registrar.chore(self);
    }
}

#[async_trait]
impl Service for Upload {
    async fn info(&self, kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        let max = kernel.files.max_bytes(UploadPurpose::Message).to_string();
        let form = DataForm::typed(FormKind::Result, ns::HTTP_UPLOAD)
            .with(Field::untyped("max-file-size").with_value(max));
        DiscoInfo {
            identities: vec![Identity::new("store", "file", Some("HTTP File Upload"))],
            features: FEATURES.map(str::to_owned).to_vec(),
            forms: vec![form],
            ..DiscoInfo::default()
        }
    }

    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        if !request.payload.is("request", ns::HTTP_UPLOAD) {
            return Err(StanzaError::service_unavailable(""));
        }
        request.expect(Request::Get)?;
        let slot = SlotRequest::parse(request.payload)?;
        let account = kernel.local_account(request.from).await?;
        let wish = wish(&account, &slot, kernel.clock.now())?;
        let host = request.to.domain().strip_prefix("upload.").unwrap_or_default();
        let address = kernel.config.web_address(host);
        let address = address.ok_or_else(|| StanzaError::service_unavailable("no web address"))?;
        let upload = kernel.files.reserve(wish).await.map_err(refusal)?;
        let url = format!("{address}{}", Files::path(&upload));
        Ok(Slot { put: url.clone(), get: url }.to_element().into())
    }
}

fn wish<'a>(
    account: &'a BareJid,
    request: &'a SlotRequest,
    now: Timestamp,
) -> Result<Wish<'a>, StanzaError> {
    let bad_type = || StanzaError::bad_request("this content-type is no media type");
    let asked = request.content_type.as_deref();
    let media_type = asked.map(|text| media_type(text).ok_or_else(bad_type)).transpose()?;
    let (purpose, gone_by) = match request.purpose {
        Purpose::Message => (UploadPurpose::Message, None),
        Purpose::Profile => (UploadPurpose::Profile, None),
        Purpose::Permanent => (UploadPurpose::Permanent, None),
        Purpose::Ephemeral { expire_before } if expire_before <= now => {
            return Err(StanzaError::not_acceptable("expire-before is past"));
        }
        Purpose::Ephemeral { expire_before } => (UploadPurpose::Ephemeral, Some(expire_before)),
    };
    Ok(Wish { account, name: &request.filename, media_type, size: request.size, purpose, gone_by })
}

/// Section 6.
fn refusal(error: SlotError) -> StanzaError {
    match error {
        SlotError::TooLarge { max } => file_too_large(max),
        SlotError::Full { text, retry } => quota_reached(text, retry),
        SlotError::Store(error) => {
            tracing::error!(%error, "no slot given");
            StanzaError::internal_server_error("")
        }
    }
}

#[async_trait]
impl AccountEvents for Upload {
    async fn deleting(&self, kernel: &Arc<Kernel>, account: &BareJid) {
        if let Err(error) = kernel.files.forget_account(account).await {
            tracing::error!(%account, %error, "files not removed; they will be at the next try");
        }
    }
}

#[async_trait]
impl Chore for Upload {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        match kernel.files.expire().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "files removed for their age"),
            Err(error) => tracing::error!(%error, "old files not removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    #[test]
    fn a_wish_is_held_to_the_rules() {
        let account = "romeo@montague.example".parse().unwrap();
        let now = Timestamp::from_secs(100);
        let request = |content_type: Option<&str>, purpose| SlotRequest {
            filename: "a".into(),
            size: 1,
            content_type: content_type.map(str::to_owned),
            purpose,
        };
        let condition =
            |request: SlotRequest| wish(&account, &request, now).err().map(|error| error.condition);
        assert_eq!(condition(request(Some("image/png"), Purpose::Profile)), None);
        let bad = condition(request(Some("a/b\r\nx: y"), Purpose::Message));
        assert_eq!(bad, Some(Condition::BadRequest));
        let past = Purpose::Ephemeral { expire_before: now };
        assert_eq!(condition(request(None, past)), Some(Condition::NotAcceptable));
        let soon = now.plus_micros(1);
        let ephemeral = request(None, Purpose::Ephemeral { expire_before: soon });
        let wish = wish(&account, &ephemeral, now).unwrap();
        assert_eq!((wish.purpose, wish.gone_by), (UploadPurpose::Ephemeral, Some(soon)));
    }

    #[test]
    fn it_is_only_where_files_can_be_reached() {
        let config = |text| Upload::new(&Config::parse(text, []).unwrap());
        assert_eq!(config("").unwrap().domains, ["upload.localhost"]);
        assert!(config("[uploads]\nenabled = false").is_none());
        assert!(config("[listen]\nhttps = []\nhttp = []").is_none());
    }
}
