//! What a registry answers when it does not give what was asked for.

use reqwest::Response;
use serde::Deserialize;

use super::transport::{self, Limit};
use crate::Cause;

/// Largest error document that is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// An error document (OCI distribution-spec, "Error Codes"), as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub status: u16,
    /// The first error's code, such as `MANIFEST_UNKNOWN`.
    pub code: String,
    /// The first error's message, cleaned.
    pub message: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    errors: Vec<Entry>,
    /// Token servers write this one.
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    /// Reads what can be read of an error. Text that is no error document is left out: it is mostly a page.
    pub async fn read(response: Response, registry: &str) -> Self {
        let status = response.status().as_u16();
        let body = transport::read_body(response, registry, Limit::Cut(MAX_ERROR)).await.unwrap_or_default();
        let document: Option<Document> = serde_json::from_slice(&body).ok();
        let details = document.as_ref().map(|document| document.details.clone()).unwrap_or_default();
        let first = document.and_then(|document| document.errors.into_iter().next());
        let (code, message) = first.map_or((String::new(), details), |entry| (entry.code, entry.message));
        Self { status, code: clean(&code), message: clean(&message) }
    }

    /// For a message: what it said, else the status.
    pub fn reason(&self) -> String {
        match (&*self.message, &*self.code) {
            ("", "") => format!("it answered {}", self.status),
            ("", code) => format!("it answered {} {code}", self.status),
            (message, _) => format!("it answered {}, {message:?}", self.status),
        }
    }

    pub fn into_cause(self, registry: &str) -> Cause {
        let reason = self.reason().trim_start_matches("it ").to_owned();
        Cause::Registry { registry: registry.to_owned(), reason }
    }
}

/// Text from outside, made fit for a message: one line, printable, short, and without anything that looks like
/// a credential that was sent.
pub(crate) fn clean(text: &str) -> String {
    const LONGEST: usize = 200;
    let is_plain = |c: &char| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(c) && *c != '\u{feff}';
    let line: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_plain).collect();
    let mut words = Vec::new();
    let mut is_secret = false;
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let is_scheme =
            ["basic", "bearer"].contains(&&*word.trim_matches(['"', '\'', ':', ',']).to_ascii_lowercase());
        words.push(if is_secret { "…" } else { word });
        is_secret = is_scheme && !is_secret;
    }
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_are_one_printable_line() {
        assert_eq!(clean("a\r\n\u{1b}[31mb\u{202e}c\0"), "a [31mbc");
        assert_eq!(clean(&"x".repeat(300)).chars().count(), 201);
        assert_eq!(
            clean("you sent Authorization: Basic dXNlcjpwYXNz to me"),
            "you sent Authorization: Basic … to me"
        );
        assert_eq!(clean("Bearer: abc.def"), "Bearer: …");
    }
}
