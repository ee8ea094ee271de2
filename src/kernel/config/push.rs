//! Waking devices.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    pub with_sender: bool,
    pub with_body: bool,
    pub placeholder: String,
    /// The app server at `push.D`.
    pub app_server: bool,
    /// May have addresses that are not public.
    pub private_hosts: Vec<String>,
    /// PEM file of the authorities of these hosts, if not public.
    pub root: Option<PathBuf>,
    pub fcm: Option<Fcm>,
    pub apns: Option<Apns>,
}

/// Firebase Cloud Messaging, HTTP v1.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Fcm {
    /// JSON file of the service account.
    pub service_account: PathBuf,
    #[serde(default = "super::defaults::fcm_endpoint")]
    pub endpoint: String,
}

/// Apple Push Notification service.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Apns {
    /// The file with the signing key (.p8).
    pub key: PathBuf,
    pub key_id: String,
    pub team_id: String,
    /// Bundle id of the app.
    pub topic: String,
    #[serde(default = "super::defaults::apns_endpoint")]
    pub endpoint: String,
}
