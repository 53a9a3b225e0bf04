//! Texts from outside, made fit for a message. A server may echo what it was sent, so what was sent is taken
//! out before anything else is done with a text.

use url::form_urlencoded;

/// Longest text that is shown, in characters.
const LONGEST: usize = 200;
/// A secret shorter than this would be found everywhere; then the whole text is left out.
const SHORTEST: usize = 4;

/// Takes certain secrets out of texts. Never printed.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    pub fn new(secrets: Vec<String>) -> Self {
        secrets.into_iter().fold(Self::default(), |redactor, secret| redactor.and(Some(secret)))
    }

    /// With one secret more, when there is one.
    pub fn and(mut self, secret: Option<String>) -> Self {
        let forms = secret.into_iter().flat_map(|secret| {
            let encoded = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            [line(&secret), encoded]
        });
        self.needles.extend(forms.filter(|needle| !needle.is_empty()));
        // The longest first: one may hold another.
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        self
    }

    /// One printable, short line without the secrets.
    pub fn clean(&self, text: &str) -> String {
        let mut text = line(text);
        for needle in &self.needles {
            if !text.contains(needle) {
                continue;
            }
            if needle.chars().count() < SHORTEST {
                return "…".to_owned();
            }
            text = text.replace(needle, "…");
        }
        short(&without_credentials(&text))
    }

    /// Whether a text holds one of the secrets.
    pub fn finds(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| needle.chars().count() >= SHORTEST && text.contains(needle))
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// Text from outside, made fit for a message: one line, printable, short, and without anything that looks like
/// a credential that was sent.
pub(crate) fn clean(text: &str) -> String {
    Redactor::default().clean(text)
}

fn line(text: &str) -> String {
    let is_plain = |c: &char| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(c) && *c != '\u{feff}';
    let blanks = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let plain: String = blanks.filter(is_plain).collect();
    plain.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What follows the name of a scheme is a credential.
fn without_credentials(line: &str) -> String {
    let mut is_secret = false;
    let words = line.split(' ').map(|word| {
        let scheme = word.trim_matches(['"', '\'', ':', ',']).to_ascii_lowercase();
        let shown = if is_secret { "…" } else { word };
        is_secret = !is_secret && ["basic", "bearer"].contains(&&*scheme);
        shown
    });
    words.collect::<Vec<_>>().join(" ")
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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

    #[test]
    fn what_was_sent_does_not_come_back() {
        let redactor = Redactor::new(vec!["hunter2/&x".to_owned(), "YWRhOmh1bnRlcjI=".to_owned()]);
        for text in [
            "wrong password hunter2/&x, sorry",
            "hunt\u{200b}er2/&x",
            "password=hunter2%2F%26x",
            "got YWRhOmh1bnRlcjI= from you",
            &format!("{} hunter2/&x", "y".repeat(195)),
        ] {
            let cleaned = redactor.clean(text);
            assert!(!cleaned.contains("hunt") && !cleaned.contains("YWRh"), "{cleaned}");
        }
        assert_eq!(Redactor::new(vec!["ab".to_owned()]).clean("cabs are here"), "…");
        assert_eq!(Redactor::new(vec![String::new()]).clean("all is well"), "all is well");
    }
}
