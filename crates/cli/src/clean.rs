//! Texts that others wrote, made harmless for a terminal: a log line or an error message of the server could
//! otherwise move the cursor, change the window's title, or write what looks like our own output.

/// One line: escape sequences and control characters are gone, tabs stay, line ends become spaces.
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_sequence(&mut rest),
            '\u{9b}' => skip_until_final(&mut rest),
            '\n' => clean.push(' '),
            '\t' => clean.push('\t'),
            c if c.is_control() || reorders(c) => {}
            c => clean.push(c),
        }
    }
    clean
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC: `[` begins a control sequence; `]`, `P`, `X`, `^` and `_` begin a text up to BEL or ESC `\`.
fn skip_sequence(rest: &mut Rest<'_>) {
    match rest.next_if(|c| ('\x20'..='\x7e').contains(c)) {
        Some('[') => skip_until_final(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        _ => {}
    }
}

/// Parameters of a control sequence, and its final character.
fn skip_until_final(rest: &mut Rest<'_>) {
    while rest.next_if(|c| ('\x20'..='\x3f').contains(c)).is_some() {}
    rest.next_if(|c| ('\x40'..='\x7e').contains(c));
}

/// A text that was never ended swallows its line, as it would on a terminal, but no more than that.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        match c {
            '\x07' | '\u{9c}' => return,
            '\x1b' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Characters that make a line read otherwise than it is written.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// JSON text that is safe to show: serde escapes the controls below 0x20; these are the others.
pub fn json(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\x7f'..='\u{9f}') || reorders(c) {
            clean.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_terminal_are_stripped() {
        for (sent, shown) in [
            ("plain\ttext é 中", "plain\ttext é 中"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]8;;http://evil\x1b\\link", "alink"),
            ("a\x1bPdcs\x1b\\b", "ab"),
            ("\x1bc reset", " reset"),
            ("\u{9b}2Jx", "x"),
            ("one\r\ntwo\x08\x7f", "one two"),
            ("a\x1b]never ended", "a"),
            ("end\x1b", "end"),
            ("\u{202e}txt.exe", "txt.exe"),
        ] {
            assert_eq!(line(sent), shown, "{sent:?}");
        }
    }

    #[test]
    fn json_stays_json_and_shows_no_control() {
        let text = serde_json::to_string("\u{9b}31m\x1b[0m\u{202e}").unwrap();
        let shown = json(&text);
        assert!(shown.chars().all(|c| !c.is_control()), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "\u{9b}31m\x1b[0m\u{202e}");
    }
}
