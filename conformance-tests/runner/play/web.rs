//! `http:` steps.

use tokio::time::{Instant, timeout_at};

use super::{Outcome, Play};
use crate::client::http::{Request, Response, send};
use crate::pattern::{Own, matches};
use crate::script::HttpStep;
use crate::text::Template;
use crate::xml::parse_document;

impl Play<'_> {
    pub(super) async fn http(&mut self, step: &HttpStep, deadline: Instant) -> Outcome {
        let mut headers = Vec::new();
        for (name, value) in &step.headers {
            headers.push((name.clone(), value.render(&self.vars)?));
        }
        let request = Request {
            method: step.method.clone(),
            url: step.url.render(&self.vars)?,
            headers,
            body: step.body.as_ref().map(|b| b.render(&self.vars)).transpose()?,
        };
        let host = self.server.endpoint().host;
        let response = timeout_at(deadline, send(&request, &host))
            .await
            .map_err(|_| "no HTTP response in time".to_owned())?
            .map_err(|e| format!("{} {}: {e:#}", request.method, request.url))?;
        self.judge(step, &response).map_err(|e| format!("{e}\nin {response:#?}"))
    }

    fn judge(&mut self, step: &HttpStep, response: &Response) -> Outcome {
        let status = response.status.to_string();
        if let Some(template) = &step.status {
            self.fits("status", template, Some(&status))?;
        }
        for (name, template) in &step.expect_headers {
            self.fits(name, template, response.header(name))?;
        }
        if let Some(template) = &step.expect_body {
            self.fits("body", template, Some(&response.body))?;
        }
        if let Some(pattern) = &step.expect_xml {
            let got = parse_document(&response.body)?;
            self.keep(matches(pattern, &got, Own::default(), &self.vars)?);
        }
        if step.expect_json.is_empty() {
            return Ok(());
        }
        let json: serde_json::Value =
            serde_json::from_str(&response.body).map_err(|e| format!("not JSON: {e}"))?;
        for (pointer, template) in &step.expect_json {
            let value = json.pointer(pointer).map(|v| match v {
                serde_json::Value::String(s) => s.clone(),
                other => other.to_string(),
            });
            self.fits(pointer, template, value.as_deref())?;
        }
        Ok(())
    }

    fn fits(&mut self, what: &str, template: &Template, got: Option<&str>) -> Outcome {
        let captures = template.match_value(&self.vars, got).map_err(|e| format!("{what} {e}"))?;
        self.keep(captures);
        Ok(())
    }
}
