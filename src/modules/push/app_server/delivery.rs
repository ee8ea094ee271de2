//! From a publication to the device: through the service that it is for, not too often and not
//! too many at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::metrics::PushLabels;
use wello_store::{PushDevice, PushGateway, Timestamp};
use wello_wire::error::StanzaError;

use super::gateway::{News, Outcome};
use super::keys::Keys;
use super::{apns, fcm, web_push};

/// Devices that are left alone before all are tried again.
const MAX_WAITS: usize = 50_000;
/// How long a device is left alone after an error, doubled with each; less than servers wait
/// before they try again.
const FIRST_WAIT: Duration = Duration::from_secs(4);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// What a service asks for is believed up to this.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(super) struct Delivery {
    waits: Mutex<HashMap<String, Wait>>,
    access: fcm::AccessToken,
    provider: apns::ProviderToken,
}

#[derive(Clone, Copy)]
struct Wait {
    until: Timestamp,
    errors: u32,
}

impl Delivery {
    /// Wakes a device; the error is for whoever published.
    pub(super) async fn deliver(
        &self,
        kernel: &Arc<Kernel>,
        keys: &Keys,
        device: &PushDevice,
        news: &News,
    ) -> Result<(), StanzaError> {
        let now = kernel.clock.now();
        if self.waits.lock().get(&device.node).is_some_and(|wait| now < wait.until) {
            count(kernel, device.gateway, "held back");
            return Err(later());
        }
        let outcome = self.send(kernel, keys, device, news).await;
        count(kernel, device.gateway, label(&outcome));
        match outcome {
            Outcome::Delivered => {
                self.waits.lock().remove(&device.node);
                Ok(())
            }
            Outcome::Gone => {
                self.waits.lock().remove(&device.node);
                tracing::debug!(account = device.account, node = device.node, "a device is gone");
                match kernel.store.push_devices.unregister(device).await {
                    Ok(_) => Err(StanzaError::item_not_found("the device is gone")),
                    Err(error) => {
                        tracing::error!(%error, "push device not removed");
                        Err(StanzaError::internal_server_error(""))
                    }
                }
            }
            Outcome::Later(asked) => {
                self.put_off(&device.node, asked, now);
                Err(later())
            }
            Outcome::Refused(reason) => {
                self.put_off(&device.node, None, now);
                let gateway = name(device.gateway);
                tracing::error!(gateway, reason, "a push service refuses: see wello check");
                Err(StanzaError::internal_server_error("the push service refuses"))
            }
        }
    }

    async fn send(
        &self,
        kernel: &Arc<Kernel>,
        keys: &Keys,
        device: &PushDevice,
        news: &News,
    ) -> Outcome {
        let config = &kernel.config.push;
        let no_key = || Outcome::Refused("its key is not configured any more".to_owned());
        match device.gateway {
            PushGateway::Web => web_push::send(kernel, &keys.vapid, device, news).await,
            PushGateway::Fcm => {
                let (Some(fcm), Some(account)) = (&config.fcm, &keys.fcm) else { return no_key() };
                let (endpoint, token) = (fcm.endpoint.trim_end_matches('/'), &device.address);
                fcm::send(kernel, account, &self.access, endpoint, token, news).await
            }
            PushGateway::Apns => {
                let (Some(apns), Some(key)) = (&config.apns, &keys.apns) else { return no_key() };
                apns::send(kernel, apns, key, &self.provider, device, news).await
            }
        }
    }

    fn put_off(&self, node: &str, asked: Option<Duration>, now: Timestamp) {
        let mut waits = self.waits.lock();
        if waits.len() >= MAX_WAITS {
            waits.retain(|_, wait| now < wait.until);
            if waits.len() >= MAX_WAITS {
                waits.clear();
            }
        }
        let errors = waits.get(node).map_or(0, |wait| wait.errors);
        let until = now.saturating_add(wait(errors, asked));
        waits.insert(node.to_owned(), Wait { until, errors: errors.saturating_add(1) });
    }
}

fn wait(errors: u32, asked: Option<Duration>) -> Duration {
    let own = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(errors.min(20))).min(LONGEST_WAIT);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

/// Of type `wait`: servers that publish try it again.
pub(super) fn later() -> StanzaError {
    StanzaError::resource_constraint("not now")
}

pub(super) fn name(gateway: PushGateway) -> &'static str {
    match gateway {
        PushGateway::Fcm => "fcm",
        PushGateway::Apns => "apns",
        PushGateway::Web => "web",
    }
}

fn label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "sent",
        Outcome::Gone => "gone",
        Outcome::Later(_) => "failed",
        Outcome::Refused(_) => "refused",
    }
}

fn count(kernel: &Kernel, gateway: PushGateway, outcome: &'static str) {
    let labels = PushLabels { gateway: name(gateway), outcome };
    kernel.metrics.pushes.get_or_create(&labels).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let seconds =
            |errors, asked: Option<u64>| wait(errors, asked.map(Duration::from_secs)).as_secs();
        assert_eq!(seconds(0, None), 4);
        assert_eq!(seconds(3, None), 32);
        assert_eq!(seconds(u32::MAX, None), 900);
        assert_eq!(seconds(0, Some(30)), 30);
        assert_eq!(seconds(0, Some(u64::MAX)), 3600);
    }

    #[test]
    fn devices_that_wait_are_bounded() {
        let delivery = Delivery::default();
        for number in 0..=MAX_WAITS {
            delivery.put_off(&number.to_string(), None, Timestamp::from_secs(0));
        }
        assert_eq!(delivery.waits.lock().len(), 1);
    }
}
