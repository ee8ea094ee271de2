//! XEP-0124 and XEP-0206: XMPP over BOSH, with one request held open.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::http::{Request, Response, send};
use super::{Endpoint, Event};
use crate::xml::{Element, NS_STREAM, parse_document};

pub(crate) const NS_BIND: &str = "http://jabber.org/protocol/httpbind";
const NS_XBOSH: &str = "urn:xmpp:xbosh";

pub(crate) struct Bosh {
    host: String,
    url: String,
    domain: String,
    sid: Option<String>,
    rid: u64,
    /// Answers in the order of their requests
    pending: VecDeque<JoinHandle<anyhow::Result<Response>>>,
    ready: VecDeque<Event>,
    /// A stream was asked for and its features have not come yet.
    opening: bool,
    ended: Option<String>,
}

impl Bosh {
    pub(super) fn new(endpoint: &Endpoint, domain: &str) -> Self {
        Self {
            host: endpoint.host.clone(),
            url: format!("https://{domain}:{}/http-bind", endpoint.https),
            domain: domain.to_owned(),
            sid: None,
            // XEP-0124 §14.2 asks for a large random start; any start will do on loopback
            rid: 1_573_741_820,
            pending: VecDeque::new(),
            ready: VecDeque::new(),
            opening: false,
            ended: None,
        }
    }

    /// The first call creates the session, later ones restart the stream (XEP-0206 §5).
    pub(super) fn open_stream(&mut self, from: &str) -> anyhow::Result<()> {
        self.opening = true;
        let domain = &self.domain;
        let attrs = match self.sid {
            None => format!(
                "to='{domain}' {from}wait='20' hold='1' ver='1.11' xml:lang='en' \
                 xmpp:version='1.0' xmlns:xmpp='{NS_XBOSH}'"
            ),
            Some(_) => {
                format!(
                    "to='{domain}' {from}xmpp:restart='true' xml:lang='en' xmlns:xmpp='{NS_XBOSH}'"
                )
            }
        };
        self.post(&attrs, "")
    }

    pub(super) fn send(&mut self, content: &[u8]) -> anyhow::Result<()> {
        self.post("", std::str::from_utf8(content)?)
    }

    pub(super) fn terminate(&mut self) -> anyhow::Result<()> {
        self.post("type='terminate'", "<presence type='unavailable' xmlns='jabber:client'/>")
    }

    fn post(&mut self, attrs: &str, content: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.ended.is_none(), "the BOSH session has ended");
        self.rid += 1;
        let sid = self.sid.as_ref().map(|s| format!("sid='{s}'")).unwrap_or_default();
        let body =
            format!("<body xmlns='{NS_BIND}' rid='{}' {sid} {attrs}>{content}</body>", self.rid);
        let request = Request {
            method: "POST".to_owned(),
            url: self.url.clone(),
            headers: vec![("Content-Type".to_owned(), "text/xml; charset=utf-8".to_owned())],
            body: Some(body),
        };
        let host = self.host.clone();
        self.pending.push_back(tokio::spawn(async move { send(&request, &host).await }));
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if let Some(how) = &self.ended {
                return Event::Closed(how.clone());
            }
            if self.pending.is_empty() && self.sid.is_some() && self.post("", "").is_err() {
                continue;
            }
            let Some(front) = self.pending.front_mut() else {
                return std::future::pending().await;
            };
            // Awaiting by reference keeps the request if the caller gives up waiting.
            let answer = front.await;
            self.pending.pop_front();
            match answer {
                Ok(Ok(response)) => self.take(&response),
                Ok(Err(e)) => self.ended = Some(format!("{e:#}")),
                Err(e) => self.ended = Some(e.to_string()),
            }
        }
    }

    fn take(&mut self, response: &Response) {
        if response.status != 200 {
            self.ended = Some(format!("HTTP status {}", response.status));
            return;
        }
        let body = match parse_document(&response.body) {
            Ok(body) if body.is(NS_BIND, "body") => body,
            other => {
                self.ended = Some(format!("the answer is not a <body/>: {other:?}"));
                return;
            }
        };
        if let (None, Some(sid)) = (&self.sid, body.attr("sid")) {
            self.sid = Some(sid.to_owned());
        }
        let has_features = body.child(NS_STREAM, "features").is_some();
        if self.opening && has_features {
            self.opening = false;
            let header = Element { nodes: Vec::new(), ..body.clone() };
            self.ready.push_back(Event::Header(header));
        }
        self.ready.extend(body.children().cloned().map(Event::Element));
        if body.attr("type") == Some("terminate") {
            let condition = body.attr("condition").unwrap_or("none").to_owned();
            self.ready.push_back(Event::Footer);
            self.ended = Some(format!("terminated, condition {condition}"));
        }
    }
}
