//! The token of a registry: asked for at the terminal, or read from stdin. Never an argument or a variable, which
//! other users, children and crash reports see.

use std::io::{self, IsTerminal, Read};

use wire::Secret;

use crate::failure::Failure;
use crate::prompt;

/// The longest that the API takes, in bytes.
const LONGEST: usize = 16_384;

/// The user name with which the token is a key file of several lines.
const KEY_FILE_USER: &str = "_json_key";

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Terminal,
    Stdin,
}

/// The token for this user name. Read before anything is changed.
pub fn read(source: Source, username: &str) -> Result<Secret, Failure> {
    let token = match source {
        Source::Stdin => from_stdin()?,
        // Only its first line would be read, and the shell would run the others.
        Source::Terminal if username == KEY_FILE_USER => {
            return Err(Failure::usage("a key file has several lines and cannot be typed in")
                .hint("pass it with `--token-stdin < key.json`"));
        }
        Source::Terminal => prompt::hidden("Token: ")?.ok_or_else(|| {
            Failure::usage("there is no terminal to ask for the token").hint("pass it with --token-stdin")
        })?,
    };
    if token.is_empty() {
        return Err(Failure::usage("the token is empty"));
    }
    Ok(token.into())
}

fn from_stdin() -> Result<String, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage("--token-stdin at a terminal would show the token")
            .hint("leave it out: the token is then asked for without being shown"));
    }
    whole(stdin.lock())
}

/// Everything there is, without the line break that files and `echo` end with.
fn whole(from: impl Read) -> Result<String, Failure> {
    let mut token = String::new();
    // Room for the line break, and one more byte to notice a token that is too long.
    from.take(LONGEST as u64 + 3)
        .read_to_string(&mut token)
        .map_err(|error| Failure::new(format!("the token cannot be read from stdin: {}", error.kind())))?;
    let end = token.trim_end_matches(['\r', '\n']).len();
    token.truncate(end);
    if token.len() > LONGEST {
        return Err(Failure::usage(format!("a token has at most {LONGEST} bytes; this one has more")));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_all_of_stdin_without_its_last_line_break() {
        for (given, token) in [
            ("abc", "abc"),
            ("abc\n", "abc"),
            ("abc\r\n", "abc"),
            ("{\n  \"key\": 1\n}\n", "{\n  \"key\": 1\n}"),
            (" a b ", " a b "),
            ("\n", ""),
        ] {
            assert_eq!(whole(given.as_bytes()).unwrap(), token, "{given:?}");
        }
    }

    #[test]
    fn a_token_that_is_too_long_or_no_text_is_refused_without_being_repeated() {
        let longest = "x".repeat(LONGEST);
        assert_eq!(whole(format!("{longest}\r\n").as_bytes()).unwrap().len(), LONGEST);
        for bad in
            [format!("{longest}x").into_bytes(), "y".repeat(1 << 20).into_bytes(), b"canary\xff".to_vec()]
        {
            let failure = whole(bad.as_slice()).unwrap_err();
            let text = format!("{} {failure:?}", failure.text());
            assert!(!text.contains("canary") && text.len() < 300, "{text}");
        }
    }
}
