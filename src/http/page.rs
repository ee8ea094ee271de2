//! The few pages that need no program in the browser.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use wello_wire::xml::write_escaped_text;

/// No scripts, nothing from elsewhere, no frames around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const STYLE: &str = "\
    body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem;\
    color:#111827;background:#fff}\
    a{color:#166534}\
    figure{margin:1rem 0}\
    label{display:block;margin:.75rem 0}\
    input{display:block;box-sizing:border-box;width:100%;font:inherit;padding:.5rem;\
    border:1px solid #6b7280;border-radius:.25rem}\
    button,.button{display:inline-block;font:inherit;padding:.5rem 1rem;border:0;\
    border-radius:.25rem;color:#fff;background:#166534;text-decoration:none}\
    small{color:#4b5563}\
    [role=alert]{padding:.5rem 1rem;border-left:.25rem solid #b91c1c;background:#fef2f2}";

/// `main` and `title` are HTML: what is put into them is [`escaped`].
pub(crate) fn page(status: StatusCode, title: &str, main: &str) -> Response {
    let document = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main>{main}</main></body></html>"
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // An invitation's address is its secret.
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(document)).into_response()
}

pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css"), (CACHE_CONTROL, "max-age=3600")], STYLE).into_response()
}

/// For text and for attributes in double quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    write_escaped_text(&mut out, text);
    String::from_utf8_lossy(&out).replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_text_or_attribute() {
        assert_eq!(escaped("<b a=\"x\">&"), "&lt;b a=&quot;x&quot;&gt;&amp;");
    }
}
