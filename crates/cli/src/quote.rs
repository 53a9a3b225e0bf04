//! Names that others chose, inside a command that a person may paste into a shell.

use std::borrow::Cow;

/// The name as one word of a shell: in single quotes unless it needs none.
pub fn word(name: &str) -> Cow<'_, str> {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@' | '/' | ':');
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("'{}'", name.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_word() {
        for (name, shown) in [
            ("team", "team"),
            ("acme/ghcr.io", "acme/ghcr.io"),
            ("team ghcr", "'team ghcr'"),
            ("a;reboot", "'a;reboot'"),
            ("$(id)", "'$(id)'"),
            ("it's", r"'it'\''s'"),
            ("-rf", "'-rf'"),
        ] {
            assert_eq!(word(name), shown);
        }
    }
}
