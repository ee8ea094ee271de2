//! Clients register their devices by ad-hoc commands (docs/protocols/push.md), in the manner of the
//! app servers that there are.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::config::Push;
use wello_store::{PushDevice, PushGateway, StoreError, TokenHash};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::payload::command::{
    Action, Actions, Command, CommandError, Note, NoteKind, Status,
};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};

use super::delivery::name;
use super::ece::{AUTH, is_public_key};
use super::web_push::origin;

/// Devices of one account.
const MAX_DEVICES: u32 = 20;
/// Octets. Tokens of FCM have some 200; nobody promises it.
const MAX_DEVICE: usize = 200;
const MAX_TOKEN: usize = 1000;
const MAX_URL: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Register(PushGateway),
    List,
    Unregister,
}

const ORDERS: [(&str, &str, Order); 5] = [
    ("register-push-fcm", "Wake an Android device", Order::Register(PushGateway::Fcm)),
    ("register-push-apns", "Wake an Apple device", Order::Register(PushGateway::Apns)),
    ("register-push-web", "Wake a browser", Order::Register(PushGateway::Web)),
    ("list-push-registrations", "List my devices", Order::List),
    ("unregister-push", "Wake a device no more", Order::Unregister),
];

/// Nodes, names and orders that the configuration allows.
pub(super) fn orders(
    config: &Push,
) -> impl Iterator<Item = &'static (&'static str, &'static str, Order)> {
    let (fcm, apns) = (config.fcm.is_some(), config.apns.is_some());
    ORDERS.iter().filter(move |(_, _, order)| match order {
        Order::Register(PushGateway::Fcm) => fcm,
        Order::Register(PushGateway::Apns) => apns,
        _ => true,
    })
}

pub(super) async fn run(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    server: &BareJid,
    asked: Command,
) -> Result<Command, StanzaError> {
    let order = orders(&kernel.config.push).find(|(node, _, _)| *node == asked.node);
    let (node, title, order) =
        *order.ok_or_else(|| StanzaError::item_not_found("no such command"))?;
    // Nothing is remembered between the stages, so any session will do.
    let session = asked.session_id.clone().unwrap_or_else(random_id);
    let answer = |status| Command::answer(node, session.clone(), status);
    let form = form(order, title);
    match (asked.action, asked.form, form) {
        (Action::Cancel, ..) => Ok(answer(Status::Canceled)),
        (Action::Prev, ..) => Err(CommandError::BadAction.into()),
        (Action::Execute, None, Some(form)) if asked.session_id.is_none() => {
            let mut shown = answer(Status::Executing);
            shown.actions = Some(Actions::LAST);
            shown.form = Some(form);
            Ok(shown)
        }
        (_, None, Some(_)) => Err(CommandError::BadPayload.into()),
        (_, filled, form) => {
            let filled = filled.unwrap_or(DataForm::new(FormKind::Submit));
            if let Some(field) = form.and_then(|form| form.check(&filled).err()) {
                let error = StanzaError::from(CommandError::BadPayload);
                return Err(error.with_text(format!("{field} is missing")));
            }
            let mut done = answer(Status::Completed);
            match perform(kernel, account, server, order, &filled).await? {
                Done::Form(form) => done.form = Some(form),
                Done::Text(text) => done.notes = vec![Note { kind: NoteKind::Info, text }],
            }
            Ok(done)
        }
    }
}

fn form(order: Order, title: &str) -> Option<DataForm> {
    let device = || Field::text_single("device-id", "Your name for the device");
    let text = |var: &str, label: &str| Field::text_single(var, label).required();
    let form = DataForm::new(FormKind::Form).with_title(title);
    Some(match order {
        Order::List => return None,
        Order::Register(PushGateway::Fcm) => {
            form.with(text("token", "Registration token")).with(device())
        }
        Order::Register(PushGateway::Apns) => form
            .with(text("token", "Device token, hexadecimal"))
            .with(Field::text_single("voip-token", "Device token for calls"))
            .with(device()),
        Order::Register(PushGateway::Web) => form
            .with(text("endpoint", "Address of the subscription"))
            .with(text("p256dh", "Key of the subscription"))
            .with(text("auth", "Secret of the subscription"))
            .with(device()),
        Order::Unregister => form.with(device()).with(Field::text_single("node", "Its node")),
    })
}

enum Done {
    Form(DataForm),
    Text(String),
}

async fn perform(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    server: &BareJid,
    order: Order,
    filled: &DataForm,
) -> Result<Done, StanzaError> {
    match order {
        Order::Register(gateway) => {
            let address = address(gateway, filled)?;
            let secret = random_id();
            let device = PushDevice {
                node: random_id(),
                secret: hash(&secret),
                account: account.to_string(),
                device: device_id(filled)?.to_owned(),
                gateway,
                address: address.token,
                call_address: address.call,
                public_key: address.public_key,
                auth: address.auth,
                registered: kernel.clock.now(),
            };
            let node = kernel.store.push_devices.register(&device, MAX_DEVICES).await;
            let node = node.map_err(|error| failed(&error))?;
            let node = node.ok_or_else(|| StanzaError::resource_constraint("too many devices"))?;
            let single = |var, value: &str| Field::text_single(var, var).with_value(value);
            let form = DataForm::new(FormKind::Result)
                .with(single("jid", server.as_str()))
                .with(single("node", &node))
                .with(single("secret", &secret));
            Ok(Done::Form(form))
        }
        Order::List => {
            let devices = kernel.store.push_devices.devices(account.as_str()).await;
            let lines = devices.map_err(|error| failed(&error))?;
            let lines = lines.iter().map(|device| {
                format!("{} {} {}", device.node, name(device.gateway), device.device)
            });
            let field = Field::text_multi("devices", "Node, service and name of each device");
            Ok(Done::Form(DataForm::new(FormKind::Result).with(field.with_values(lines))))
        }
        Order::Unregister => {
            let devices = kernel.store.push_devices.devices(account.as_str()).await;
            let devices = devices.map_err(|error| failed(&error))?;
            let (node, name) = (filled.value("node"), device_id(filled).ok());
            if node.is_none() && name.is_none() {
                return Err(StanzaError::bad_request("device-id and node are missing"));
            }
            let mut removed = 0;
            for device in devices {
                let meant = node.is_none_or(|node| node == device.node)
                    && name.is_none_or(|name| name == device.device);
                if meant {
                    let result = kernel.store.push_devices.unregister(&device).await;
                    removed += u32::from(result.map_err(|error| failed(&error))?);
                }
            }
            match removed {
                0 => Err(StanzaError::item_not_found("you have no such device")),
                _ => Ok(Done::Text("it is woken no more".to_owned())),
            }
        }
    }
}

/// COMPAT: Conversations and its relatives say `android-id`.
fn device_id(filled: &DataForm) -> Result<&str, StanzaError> {
    let id = filled.value("device-id").or_else(|| filled.value("android-id"));
    id.filter(|id| !id.is_empty() && id.len() <= MAX_DEVICE && !id.contains(char::is_control))
        .ok_or_else(|| StanzaError::bad_request("device-id is missing or too long"))
}

struct Address {
    token: String,
    call: Option<String>,
    public_key: Option<Bytes>,
    auth: Option<Bytes>,
}

/// Tokens become parts of URLs and JSON, addresses are asked: neither is believed.
fn address(gateway: PushGateway, filled: &DataForm) -> Result<Address, StanzaError> {
    let value = |var: &str| filled.value(var).unwrap_or_default().trim();
    let bad = |text: &str| StanzaError::bad_request(text);
    let plain = |token: String| Address { token, call: None, public_key: None, auth: None };
    match gateway {
        PushGateway::Fcm => {
            let token = value("token");
            let fits = token.len() <= MAX_TOKEN
                && !token.is_empty()
                && token
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_:.%".contains(&byte));
            fits.then(|| plain(token.to_owned())).ok_or_else(|| bad("this is no token of FCM"))
        }
        PushGateway::Apns => {
            let token = hexadecimal(value("token"));
            let token = token.ok_or_else(|| bad("this is no token of APNs"))?;
            let call = Some(value("voip-token")).filter(|call| !call.is_empty());
            let call = call.map(|call| hexadecimal(call).ok_or_else(|| bad("bad voip-token")));
            Ok(Address { call: call.transpose()?, ..plain(token) })
        }
        PushGateway::Web => {
            let url = value("endpoint");
            let visible = url.bytes().all(|byte| byte.is_ascii_graphic());
            if url.len() > MAX_URL || !visible || origin(url).is_none() || url.contains('@') {
                return Err(bad("endpoint is no address of Web Push"));
            }
            let public_key = decode(value("p256dh")).filter(|key| is_public_key(key));
            let public_key = public_key.ok_or_else(|| bad("p256dh is no public key"))?;
            let auth = decode(value("auth")).filter(|auth| auth.len() == AUTH);
            let auth = auth.ok_or_else(|| bad("auth is no secret of 16 octets"))?;
            Ok(Address { public_key: Some(public_key), auth: Some(auth), ..plain(url.to_owned()) })
        }
    }
}

fn hexadecimal(token: &str) -> Option<String> {
    let fits = (16..=200).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| token.to_ascii_lowercase())
}

/// Browsers write base 64 for URLs, some libraries the other; both with or without padding.
fn decode(text: &str) -> Option<Bytes> {
    let text = text.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok().map(Bytes::from)
}

pub(super) fn hash(secret: &str) -> TokenHash {
    TokenHash(Sha256::digest(secret).into())
}

fn failed(error: &StoreError) -> StanzaError {
    tracing::error!(%error, "push devices not reached");
    StanzaError::internal_server_error("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(fields: &[(&str, &str)]) -> DataForm {
        fields.iter().fold(DataForm::new(FormKind::Submit), |form, (var, value)| {
            form.with(Field::untyped(*var).with_value(*value))
        })
    }

    #[test]
    fn addresses_are_held_to_their_form() {
        let fits = |gateway, fields: &[(&str, &str)]| address(gateway, &filled(fields)).is_ok();
        let fcm = |token: &str| fits(PushGateway::Fcm, &[("token", token)]);
        assert!(fcm("dPrh685pTdGns_MHsu1I-b:APA91bGw"));
        for token in ["", "a b", "a\"", "a/b", &"x".repeat(MAX_TOKEN + 1)] {
            assert!(!fcm(token), "{token}");
        }
        let token = "0123456789abcdefABCDEF";
        assert!(fits(PushGateway::Apns, &[("token", token), ("voip-token", token)]));
        for bad in ["0123", "../0123456789abcdef", "g123456789abcdefg"] {
            assert!(!fits(PushGateway::Apns, &[("token", bad)]), "{bad}");
            assert!(!fits(PushGateway::Apns, &[("token", token), ("voip-token", bad)]), "{bad}");
        }
        let key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4=";
        let auth = "BTBZMqHH6r4Tts7J_aSIgg";
        let web = |endpoint: &str, key: &str, auth: &str| {
            fits(PushGateway::Web, &[("endpoint", endpoint), ("p256dh", key), ("auth", auth)])
        };
        let good = "https://push.example/a?b=c";
        assert!(web(good, key, auth));
        assert!(web(good, &key.replace('_', "/").replace('-', "+"), auth));
        for bad in
            ["http://push.example/", "https://", "https://a@b/", "https://a/ b", "https://a/\nb"]
        {
            assert!(!web(bad, key, auth), "{bad}");
        }
        assert!(!web(good, auth, auth) && !web(good, key, key) && !web(good, "", ""));
    }

    #[test]
    fn devices_are_named() {
        assert_eq!(device_id(&filled(&[("android-id", "x")])), Ok("x"));
        assert_eq!(device_id(&filled(&[("device-id", "y"), ("android-id", "x")])), Ok("y"));
        for bad in ["", "a\nb", &"x".repeat(MAX_DEVICE + 1)] {
            assert!(device_id(&filled(&[("device-id", bad)])).is_err());
        }
    }
}
