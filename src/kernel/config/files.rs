//! Files, among them voice clips.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Uploads {
    pub enabled: bool,
    pub max_bytes: u64,
    pub day_bytes: u64,
    pub account_bytes: u64,
    pub profile_bytes: u64,
    pub keep_days: u32,
    /// `None`: in the data directory.
    pub s3: Option<S3>,
}

/// A bucket of Amazon S3 or of a service that speaks its protocol.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    pub endpoint: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
    #[serde(default = "super::defaults::s3_region")]
    pub region: String,
    /// Before the names of all files, for a bucket that is shared.
    #[serde(default)]
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Ptt {
    pub clip_bytes: usize,
    pub clip_seconds: u64,
    pub clip_days: u32,
}
