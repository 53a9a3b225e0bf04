//! `HOST[:PORT]`, as `--host` takes it.

/// Refuses the mistakes that are easily made. The server has the last word.
pub fn parse(text: &str) -> Result<String, String> {
    if text.contains("://") || text.contains('/') {
        return Err(
            "a host is written without https:// and without a path, as registry.example.com:5000".to_owned()
        );
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '@') {
        Some(bad) => Err(format!("a host cannot hold {bad:?}")),
        None if text.is_empty() => Err("a host cannot be empty".to_owned()),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_no_host() {
        for bad in ["https://ghcr.io", "ghcr.io/acme", "user@ghcr.io", "a b", "", "a\u{1b}"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse("127.0.0.1:5000").as_deref(), Ok("127.0.0.1:5000"));
    }
}
