//! Variables in a word: `$NAME`, `${NAME}`, `${NAME:-else}`, `${NAME:+then}` and their forms without the colon.

/// Variables in variables, `${A:-${B:-c}}`. Each takes a part of our stack.
const DEEPEST: usize = 20;
/// Most bytes of a word with its values. A variable of two others that are of two others each grows without end.
const LONGEST: usize = 64 << 10;

/// Gives what a word says once quotes are taken off and variables are replaced. `value` knows a variable, or does not.
pub(super) fn expand(
    word: &str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    expand_below(word, escape, value, DEEPEST)
}

fn expand_below(
    word: &str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Result<String, String> {
    let depth = depth.checked_sub(1).ok_or("variables stand in variables too often")?;
    let mut out = String::new();
    let mut rest = word;
    let mut quote = None;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\'' if quote.is_none() => {
                let end = rest.find('\'').ok_or("a quote is not closed")?;
                out.push_str(&rest[..end]);
                rest = &rest[end + 1..];
            }
            '"' => quote = if quote.is_none() { Some('"') } else { None },
            _ if character == escape => {
                let Some(escaped) = rest.chars().next() else { break };
                // Between double quotes only what would mean something is escaped.
                if quote.is_some() && !matches!(escaped, '"' | '$') && escaped != escape {
                    out.push(character);
                }
                out.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
            '$' => rest = variable(rest, escape, value, depth, &mut out)?,
            _ => out.push(character),
        }
        if out.len() > LONGEST {
            return Err("with the values of its variables it is longer than 64 KiB".to_owned());
        }
    }
    if quote.is_some() { Err("a quote is not closed".to_owned()) } else { Ok(out) }
}

/// What follows a `$`: writes its value and gives what comes behind it.
fn variable<'a>(
    text: &'a str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
    out: &mut String,
) -> Result<&'a str, String> {
    let Some(inner) = text.strip_prefix('{') else {
        let end = name_length(text);
        if end == 0 {
            out.push('$');
        } else {
            out.push_str(&value(&text[..end]).unwrap_or_default());
        }
        return Ok(&text[end..]);
    };
    let close = closing(inner).ok_or("${ is not closed")?;
    let (body, rest) = (&inner[..close], &inner[close + 1..]);
    let (name, modifier) = body.split_at(name_length(body));
    if name.is_empty() {
        return Err(format!("${{{body}}} names no variable"));
    }
    let known = value(name);
    let (modifier, counts) = match modifier.strip_prefix(':') {
        // With a colon an empty value is none.
        Some(modifier) => (modifier, known.as_ref().is_some_and(|value| !value.is_empty())),
        None => (modifier, known.is_some()),
    };
    let mut characters = modifier.chars();
    let kind = characters.next();
    let word = characters.as_str();
    match kind {
        None if !body.ends_with(':') => out.push_str(&known.unwrap_or_default()),
        Some('-') if counts => out.push_str(&known.unwrap_or_default()),
        Some('-') => out.push_str(&expand_below(word, escape, value, depth)?),
        Some('+') if counts => out.push_str(&expand_below(word, escape, value, depth)?),
        Some('+') => {}
        Some('?') if counts => out.push_str(&known.unwrap_or_default()),
        Some('?') => return Err(format!("the variable {name} has no value: {word}")),
        _ => {
            return Err(format!(
                "${{{body}}} is not understood; there are ${{X}}, ${{X:-else}} and ${{X:+then}}"
            ));
        }
    }
    Ok(rest)
}

fn name_length(text: &str) -> usize {
    let is_part = |(at, byte): &(usize, u8)| {
        byte.is_ascii_alphabetic() || *byte == b'_' || (*at > 0 && byte.is_ascii_digit())
    };
    text.bytes().enumerate().take_while(is_part).count()
}

/// Where the brace closes that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(word: &str) -> Result<String, String> {
        let value = |name: &str| match name {
            "A" => Some("alpha".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(word, '\\', &value)
    }

    #[test]
    fn every_form() {
        for (word, wanted) in [
            ("plain", "plain"),
            ("$A", "alpha"),
            ("x$A:1", "xalpha:1"),
            ("${A}b", "alphab"),
            ("$B.", "."),
            ("${B:-b}", "b"),
            ("${B-b}", "b"),
            ("${A:-b}", "alpha"),
            ("${EMPTY:-b}", "b"),
            ("${EMPTY-b}", ""),
            ("${A:+b}", "b"),
            ("${B:+b}", ""),
            ("${EMPTY:+b}", ""),
            ("${EMPTY+b}", "b"),
            ("${B:-${A}}/${C:-$A}", "alpha/alpha"),
            (r"\$A", "$A"),
            ("'$A'", "$A"),
            ("\"$A b\"", "alpha b"),
            (r#""a\"b\c""#, r#"a"b\c"#),
            ("a$", "a$"),
            ("${A:?gone}", "alpha"),
        ] {
            assert_eq!(expanded(word).as_deref(), Ok(wanted), "{word}");
        }
    }

    #[test]
    fn neither_stack_nor_memory_is_taken_without_end() {
        let nested = |levels: usize| format!("{}b{}", "${B:-".repeat(levels), "}".repeat(levels));
        assert_eq!(expanded(&nested(10)).as_deref(), Ok("b"));
        assert!(expanded(&nested(150_000)).unwrap_err().contains("too often"));
        assert!(expanded(&"$A".repeat(50_000)).unwrap_err().contains("longer than 64 KiB"));
    }

    #[test]
    fn what_is_broken_is_said() {
        for (word, part) in [
            ("${A", "not closed"),
            ("${}", "names no variable"),
            ("${A:}", "not understood"),
            ("${A/b/c}", "not understood"),
            ("\"a", "quote"),
            ("'a", "quote"),
            ("${B:?needed}", "no value: needed"),
        ] {
            assert!(expanded(word).unwrap_err().contains(part), "{word}: {:?}", expanded(word));
        }
    }
}
