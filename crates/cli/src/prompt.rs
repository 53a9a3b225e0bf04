//! Asking the person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

use crate::failure::Failure;

/// The longest text that is read: a token for a cloud's registry has several kilobytes.
const LONGEST: usize = 16_384;

/// Asks for a text that is not shown while it is typed. `None` without a terminal.
pub fn hidden(question: &str) -> Result<Option<String>, Failure> {
    let Some(mut terminal) = terminal() else { return Ok(None) };
    let typed = ask_hidden(&mut terminal, question).map_err(not_readable)?;
    typed.map(Some).ok_or_else(|| Failure::new("nothing was done: you stopped"))
}

/// Asks for a text that is shown. `None` without a terminal.
pub fn shown(question: &str) -> Result<Option<String>, Failure> {
    let Some(mut terminal) = terminal() else { return Ok(None) };
    let typed = terminal
        .write_all(question.as_bytes())
        .and_then(|()| read_line(&mut terminal))
        .map_err(not_readable)?;
    Ok(Some(typed))
}

/// The first line of stdin, for `--password-stdin`.
pub fn stdin_line() -> Result<String, Failure> {
    read_line(&mut io::stdin().lock())
        .map_err(|error| Failure::new(format!("the password cannot be read from stdin: {error}")))
}

/// A person is there only when they also type what the command reads.
fn terminal() -> Option<File> {
    if !io::stdin().is_terminal() {
        return None;
    }
    OpenOptions::new().read(true).write(true).open("/dev/tty").ok()
}

fn not_readable(error: io::Error) -> Failure {
    Failure::new(format!("the terminal cannot be read: {error}"))
}

/// Reads bytewise up to a line end, so that nothing after it is taken away.
fn read_line(from: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte)? == 1 && byte[0] != b'\n' {
        push(&mut line, byte[0])?;
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// Echo and signals are off while it reads: a Ctrl-C that killed the process would leave the terminal mute. So
/// that key, and the others that a terminal usually handles, are handled here. `None`: the person stopped.
fn ask_hidden(terminal: &mut File, question: &str) -> io::Result<Option<String>> {
    let before = termios::tcgetattr(&*terminal)?;
    let mut mute = before.clone();
    mute.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
    // Before the question: what is typed or pasted on sight of it is neither shown nor lost.
    termios::tcsetattr(&*terminal, SetArg::TCSAFLUSH, &mute)?;
    let typed = terminal.write_all(question.as_bytes()).and_then(|()| read_keys(terminal));
    restore(terminal, &before)?;
    terminal.write_all(b"\n")?;
    typed
}

fn restore(terminal: &File, before: &Termios) -> io::Result<()> {
    Ok(termios::tcsetattr(terminal, SetArg::TCSAFLUSH, before)?)
}

fn read_keys(from: &mut impl Read) -> io::Result<Option<String>> {
    let mut typed: Vec<u8> = Vec::new();
    let mut key = [0];
    loop {
        if from.read(&mut key)? == 0 {
            return Ok(None);
        }
        match key[0] {
            b'\r' | b'\n' => break,
            // Ctrl-C, and Ctrl-D on an empty line.
            0x03 => return Ok(None),
            0x04 if typed.is_empty() => return Ok(None),
            // Backspace takes a whole character; Ctrl-U takes all.
            0x7f | 0x08 => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => typed.clear(),
            byte => push(&mut typed, byte)?,
        }
    }
    String::from_utf8(typed).map(Some).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// A text that is cut off would be a wrong password that nobody understands.
fn push(text: &mut Vec<u8>, byte: u8) -> io::Result<()> {
    if text.len() == LONGEST {
        return Err(io::Error::other(format!("it has more than {LONGEST} bytes")));
    }
    text.push(byte);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_text() {
        let typed = |keys: &str| read_keys(&mut keys.as_bytes()).unwrap();
        assert_eq!(typed("secret\rrest").as_deref(), Some("secret"));
        assert_eq!(typed("sé\x7fecret\n").as_deref(), Some("secret"));
        assert_eq!(typed("wrong\x15right\n").as_deref(), Some("right"));
        assert_eq!(typed("sec\x03"), None);
        assert_eq!(typed("\x04"), None);
        assert_eq!(typed("cut off"), None);
        let long = format!("{}\n", "x".repeat(LONGEST));
        assert_eq!(typed(&long).unwrap().len(), LONGEST);
        assert!(read_keys(&mut format!("x{long}").as_bytes()).is_err());
    }

    #[test]
    fn a_line_ends_at_its_end() {
        let mut input = "pass word\r\nmore".as_bytes();
        assert_eq!(read_line(&mut input).unwrap(), "pass word");
        assert_eq!(read_line(&mut input).unwrap(), "more");
    }
}
