//! Tells git the user name or the token when it asks for that of the very server that it is meant for
//! (gitcredentials(7), "REQUESTING CREDENTIALS").

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::error::Cause;
use super::secrets::Folder;
use crate::Secret;

const SERVER: &str = "server";
const USERNAME: &str = "username";
const TOKEN: &str = "token";

/// Leaves a login in the folder of a call, for one server: `https://HOST[:PORT]`.
pub(super) fn leave(folder: &Folder, server: &str, username: &str, token: &Secret) -> Result<(), Cause> {
    folder.write(SERVER, server)?;
    folder.write(USERNAME, username)?;
    folder.write(TOKEN, token.expose()).map(drop)
}

/// The role: prints what the question in the first argument is for.
pub(super) fn run(folder: &Path, arguments: &[OsString]) -> ExitCode {
    let question = arguments.first().and_then(|question| question.to_str()).unwrap_or_default();
    let Ok(server) = fs::read_to_string(folder.join(SERVER)) else { return ExitCode::FAILURE };
    let Some(file) = file_for(question, &server) else { return ExitCode::FAILURE };
    let answer = fs::read(folder.join(file)).map(zeroize::Zeroizing::new);
    let told = answer.and_then(|answer| {
        let mut out = std::io::stdout();
        out.write_all(&answer)?;
        out.write_all(b"\n")?;
        out.flush()
    });
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The file that answers a question: `Username for 'https://HOST': ` or `Password for 'https://USER@HOST': `.
fn file_for(question: &str, server: &str) -> Option<&'static str> {
    let (file, asked) = match question.strip_prefix("Username for '") {
        Some(asked) => (USERNAME, asked),
        None => (TOKEN, question.strip_prefix("Password for '")?),
    };
    let asked = asked.trim_end().strip_suffix("':")?;
    let (scheme, place) = asked.split_once("://")?;
    // A user name may hold an @; a host does not.
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    (server.split_once("://") == Some((scheme, host))).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_server_is_answered() {
        let server = "https://git.example.com:8443";
        for (question, answer) in [
            ("Username for 'https://git.example.com:8443': ", Some(USERNAME)),
            ("Password for 'https://bot@git.example.com:8443': ", Some(TOKEN)),
            ("Password for 'https://bot@corp@git.example.com:8443': ", Some(TOKEN)),
            ("Password for 'https://git.example.com:8443': ", Some(TOKEN)),
            ("Password for 'http://bot@git.example.com:8443': ", None),
            ("Password for 'https://bot@git.example.com': ", None),
            ("Password for 'https://bot@evil.example.com:8443': ", None),
            ("Password for 'https://git.example.com:8443@evil.example.com': ", None),
            ("Password for 'https://git.example.com:8443/x': ", None),
            ("Enter passphrase for key '/x': ", None),
            ("", None),
        ] {
            assert_eq!(file_for(question, server), answer, "{question}");
        }
    }
}
