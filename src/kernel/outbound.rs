//! HTTPS requests that the server makes itself. Who has sockets does them; features only ask.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

/// A POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// `https` alone is taken.
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebAnswer {
    pub status: u16,
    /// RFC 9110, section 10.2.3.
    pub retry_after: Option<Duration>,
    /// Bounded; what is longer is an error.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WebError {
    #[error("not an https URL")]
    Url,
    /// Its address is one of a network that is not public.
    #[error("{0} is not a public address")]
    Forbidden(String),
    #[error("not reached: {0}")]
    Unreachable(String),
    #[error("no answer in time")]
    TooSlow,
    #[error("the answer is too long")]
    TooLong,
    #[error("this process makes no requests")]
    Nobody,
}

#[async_trait]
pub trait WebClient: Send + Sync {
    async fn post(&self, request: WebRequest) -> Result<WebAnswer, WebError>;
}

/// The client, once there is one: commands of the operator have none.
#[derive(Default)]
pub struct Outbound(OnceLock<Arc<dyn WebClient>>);

impl Outbound {
    /// The first one counts.
    pub fn install(&self, client: Arc<dyn WebClient>) {
        let _ = self.0.set(client);
    }

    pub async fn post(&self, request: WebRequest) -> Result<WebAnswer, WebError> {
        match self.0.get() {
            Some(client) => client.post(request).await,
            None => Err(WebError::Nobody),
        }
    }
}
