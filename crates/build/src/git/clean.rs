//! Words of other programs and servers, made fit to be shown.

/// Longest text that is shown of them, in characters.
const LONGEST: usize = 400;

/// One line without control characters and invisible ones, cut.
pub(super) fn line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    cut(&plain(&line), LONGEST)
}

/// Several lines, without control characters and invisible ones, cut.
pub(super) fn lines(text: &str, longest: usize) -> String {
    let kept: Vec<String> = text.lines().map(plain).collect();
    cut(kept.join("\n").trim(), longest)
}

fn plain(text: &str) -> String {
    // What turns the direction of writing, or takes no room, can make words look like others.
    let is_hidden = |c: char| ('\u{200b}'..='\u{206f}').contains(&c) || c == '\u{feff}';
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_hidden(*c))
        .collect()
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_is_left() {
        assert_eq!(line("a\x1b[2Jb\r\nc\t d\u{202e}e"), "a [2Jb c de");
        assert_eq!(lines("first\x07\n\nsecond\u{200b} \n", 100), "first\n\nsecond");
        assert_eq!(lines("äöü", 2), "ä…");
        assert_eq!(line(&"x".repeat(500)).chars().count(), LONGEST);
    }
}
