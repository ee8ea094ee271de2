mod extensions;
mod features;
mod properties;
mod sasl1;
mod sasl2;

use super::*;

const MAX: usize = 4096;

fn xml(text: &str) -> Element {
    text.parse().unwrap()
}

/// The element as a peer gets it.
fn reread(element: &Element) -> Element {
    xml(&element.to_string())
}

fn refusal<T: std::fmt::Debug>(read: Option<Result<T, Failure>>) -> Condition {
    read.unwrap().unwrap_err().condition
}
