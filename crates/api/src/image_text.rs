//! Image references as people write them, changed as texts so that the echo stays theirs.

/// The image with another tag, another digest, or both. The text must be a checked reference.
pub fn with(image: &str, tag: Option<&str>, digest: Option<&str>) -> String {
    let mut text = bare(image).to_owned();
    if let Some(tag) = tag {
        text = format!("{text}:{tag}");
    }
    if let Some(digest) = digest {
        text = format!("{text}@{digest}");
    }
    text
}

/// The image without tag, digest and the blanks around it, which its echo keeps. A colon before the last slash belongs to a port.
fn bare(image: &str) -> &str {
    let named = image.split('@').next().unwrap_or(image).trim();
    let last_part = named.rfind('/').map_or(0, |slash| slash + 1);
    match named[last_part..].find(':') {
        Some(colon) => &named[..last_part + colon],
        None => named,
    }
}

/// Whether a text is the tag part of a reference: a letter, digit or `_`, then up to 127 of these, `.` and `-`.
pub fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(is_word)
        && text.len() <= 128
        && bytes.all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_and_digest_are_replaced() {
        for (image, tag, digest, expected) in [
            ("nginx", Some("1.27"), None, "nginx:1.27"),
            ("nginx:latest", Some("1.27"), None, "nginx:1.27"),
            ("localhost:5000/a/b", Some("2"), None, "localhost:5000/a/b:2"),
            ("localhost:5000/a/b:1@sha256:00", Some("2"), None, "localhost:5000/a/b:2"),
            ("ghcr.io/a/b:1", None, Some("sha256:11"), "ghcr.io/a/b@sha256:11"),
            ("ghcr.io/a/b", Some("2"), Some("sha256:11"), "ghcr.io/a/b:2@sha256:11"),
            (" nginx ", Some("2"), None, "nginx:2"),
        ] {
            assert_eq!(with(image, tag, digest), expected, "{image}");
        }
    }

    #[test]
    fn a_tag_has_a_form() {
        for good in ["1", "latest", "_x", "1.4.8-rc_1", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", "-x", ".x", "a/b", "a:b", "a b", "a@b", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}
