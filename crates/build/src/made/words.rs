//! What from a repository's files may stand in a Dockerfile.

/// Whether a text is a plain name: of a program, a package or a folder, with nothing that a Dockerfile or a shell
/// would read as more.
pub fn is_name(text: &str) -> bool {
    let is_first = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.len() <= 100
        && text.starts_with(is_first)
        && text.chars().all(|character| is_first(character) || matches!(character, '.' | '-'))
}

/// Whether a text is a path of plain names, which leads nowhere but down.
pub fn is_path(text: &str) -> bool {
    text.len() <= 200 && text.split('/').all(is_name)
}

/// Whether a text is an exact version, as package managers write theirs: `9.12.0`, `4.0.0-rc.1`.
pub fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && is_name(text)
}

/// The first numbers of a version: `v20.11.1` is 20, 11, 1, and `3.x` is 3. Empty when it begins with none.
pub fn numbers(text: &str) -> Vec<u32> {
    let text = text.trim().trim_start_matches(['v', 'V', '=', ' ']);
    let parts = text.split('.').map(|part| {
        let digits = part.split(|character: char| !character.is_ascii_digit()).next();
        digits.unwrap_or_default().parse().ok()
    });
    parts.map_while(|number| number).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for name in ["app", "my-app", "a.b_c", "_x", "9lives"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(101);
        for name in ["", "-o", ".hidden", "..", "a b", "a\nb", "a\"b", "a'b", "a$b", "a\\", "a/b", "ä", &long]
        {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_path("cmd/server"));
        for path in ["/etc", "a/../b", "a//b", "a/", "a/$b"] {
            assert!(!is_path(path), "{path:?}");
        }
        assert!(is_version("9.12.0") && !is_version("latest") && !is_version("22 && rm"));
    }

    #[test]
    fn versions_are_read_as_numbers() {
        assert_eq!(numbers("v20.11.1\n"), [20, 11, 1]);
        assert_eq!(numbers("3.12"), [3, 12]);
        assert_eq!(numbers("20.x"), [20]);
        assert_eq!(numbers("1.22rc1"), [1, 22]);
        assert!(numbers("lts/*").is_empty() && numbers("").is_empty() && numbers("99999999999").is_empty());
    }
}
