//! Words of an instruction: parted by blanks that no quote and no escape holds together.

/// Parts a text into words as they are written, quotes and escapes included.
pub(super) fn split(text: &str, escape: char) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = end_of_word(rest, escape);
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    words
}

/// Where the first word of a text ends.
pub(super) fn end_of_word(text: &str, escape: char) -> usize {
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            // Nothing is escaped between single quotes.
            (None | Some('"'), character) if character == escape => drop(characters.next()),
            (Some(open), character) if character == open => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, character) if character.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_hold_words_together() {
        assert_eq!(split(r#" a  "b c"d e\ f 'g\' h"#, '\\'), ["a", r#""b c"d"#, r"e\ f", r"'g\'", "h"]);
        assert_eq!(split("A=\"x y\" B", '\\'), ["A=\"x y\"", "B"]);
        assert_eq!(split(r"C:\a b", '`'), [r"C:\a", "b"]);
        assert!(split("   ", '\\').is_empty());
        assert_eq!(split("open 'quote without end", '\\'), ["open", "'quote without end"]);
    }
}
