//! Application names, checked before anything is asked of the server. The server has the last word.

/// A DNS label, because an application is reached at `NAME.DOMAIN`.
pub fn parse(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an application name cannot be empty".to_owned());
    }
    if let Some(bad) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(format!("an application name is made of a-z, 0-9 and -; it cannot hold {bad:?}"));
    }
    if text.len() > 63 {
        return Err(format!("an application name has at most 63 characters; this one has {}", text.len()));
    }
    if text.len() < 2 {
        return Err("an application name has at least 2 characters".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("an application name cannot begin or end with -".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["ab", "web", "web-1", "12", &"a".repeat(63)] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        for bad in ["", "a", "-x", "x-", "../x", "Web", "a b", "a.b", "é", &"a".repeat(64)] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            parse("My App").unwrap_err(),
            "an application name is made of a-z, 0-9 and -; it cannot hold 'M'"
        );
    }
}
