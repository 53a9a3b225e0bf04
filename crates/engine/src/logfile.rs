//! Log files of a container: the line format, written by the supervisor and read by the engine.
//!
//! A line is `<moment> <stream> <text>`, the moment in RFC 3339 with microseconds. `log` is the file being
//! written, `log.1` and `log.2` the ones before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::Timestamp;
use model::log::{LogLine, Stream};

/// A file is full at this size, in bytes.
const FILE_MAX: u64 = 10 << 20;
const FILES: usize = 3;
/// Longer lines are cut into several, in bytes.
pub(crate) const LINE_MAX: usize = 16 << 10;
/// Lines are gathered up to this many bytes before they are written.
const BATCH: usize = 32 << 10;

/// The files of a folder, newest first, whether or not they exist.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let name = |index: usize| if index == 0 { "log".to_owned() } else { format!("log.{index}") };
    (0..FILES).map(|index| folder.join(name(index))).collect()
}

/// Reads one line back; `None` for anything else, such as a line that a full disk cut short.
pub(crate) fn parse_line(line: &[u8]) -> Option<LogLine> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let at = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let text = String::from_utf8_lossy(parts.next()?).into_owned();
    Some(LogLine { at, stream, text })
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

/// Writes lines and starts a new file when one is full. It never fails: what a full disk does not take is
/// lost, because the application must not be held up by its log.
pub(crate) struct LogWriter {
    folder: PathBuf,
    file_max: u64,
    file: Option<File>,
    size: u64,
    batch: Vec<u8>,
    /// The latest moment with its text: of a flood many lines have the same.
    stamp: Option<(Timestamp, String)>,
}

impl LogWriter {
    pub fn open(folder: &Path) -> Self {
        Self::with_limit(folder, FILE_MAX)
    }

    fn with_limit(folder: &Path, file_max: u64) -> Self {
        let batch = Vec::with_capacity(BATCH + LINE_MAX + 64);
        Self { folder: folder.to_owned(), file_max, file: None, size: 0, batch, stamp: None }
    }

    pub fn line(&mut self, at: Timestamp, stream: Stream, text: &[u8]) {
        let stamp = match &mut self.stamp {
            Some((moment, text)) if *moment == at => text,
            stamp => &mut stamp.insert((at, format!("{at:.6}"))).1,
        };
        self.batch.extend_from_slice(stamp.as_bytes());
        self.batch.push(b' ');
        self.batch.extend_from_slice(word(stream).as_bytes());
        self.batch.push(b' ');
        self.batch.extend_from_slice(text);
        self.batch.push(b'\n');
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.try_flush().is_err() {
            // Another try with a file opened anew comes with the next line.
            self.file = None;
        }
        self.batch.clear();
    }

    fn try_flush(&mut self) -> io::Result<()> {
        if self.size >= self.file_max {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = self.folder.join("log");
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
                self.size = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        file.write_all(&self.batch)?;
        self.size += self.batch.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.size = 0;
        let names = files(&self.folder);
        for pair in names.windows(2).rev() {
            match fs::rename(&pair[0], &pair[1]) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Cuts what a container writes into lines.
#[derive(Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Calls `line` for every whole line of `bytes`; the rest waits for more.
    pub fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match piece {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            for chunk in text.chunks(LINE_MAX) {
                if self.rest.len() + chunk.len() > LINE_MAX {
                    let room = LINE_MAX - self.rest.len();
                    self.rest.extend_from_slice(&chunk[..room]);
                    line(&self.rest);
                    self.rest.clear();
                    self.rest.extend_from_slice(&chunk[room..]);
                } else {
                    self.rest.extend_from_slice(chunk);
                }
            }
            if is_whole {
                line(&self.rest);
                self.rest.clear();
            }
        }
    }

    /// Gives the line that was never ended.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            line(&self.rest);
            self.rest = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| found.push(line.to_vec()));
        }
        lines.finish(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn lines_are_put_together_and_long_ones_cut() {
        assert_eq!(cut(&[b"one\ntw", b"o\n\nrest"]), [&b"one"[..], b"two", b"", b"rest"]);
        let long = vec![b'x'; LINE_MAX * 2 + 5];
        let lengths = |pieces: &[&[u8]]| cut(pieces).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[&long]), [LINE_MAX, LINE_MAX, 5]);
        assert_eq!(lengths(&[b"abc", &long, b"\n"]), [LINE_MAX, LINE_MAX, 8]);
        assert_eq!(lengths(&[&[b'x'; LINE_MAX], b"\nx\n"]), [LINE_MAX, 1]);
    }

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(folder.path());
        let at: Timestamp = "2026-07-01T10:00:00.123456Z".parse().unwrap();
        writer.line(at, Stream::Stderr, b"two words \xff\r");
        writer.line(at, Stream::Stdout, b"");
        writer.flush();
        let text = fs::read(folder.path().join("log")).unwrap();
        let lines: Vec<_> = text.split(|b| *b == b'\n').filter_map(parse_line).collect();
        let line = |stream, text: &str| LogLine { at, stream, text: text.to_owned() };
        assert_eq!(lines, [line(Stream::Stderr, "two words \u{fffd}\r"), line(Stream::Stdout, "")]);
        assert_eq!(parse_line(b"2026-07-01T10:00:00.123456Z stdo"), None);
    }

    #[test]
    fn three_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::with_limit(folder.path(), 100);
        for number in 0..20 {
            writer.line(Timestamp::now(), Stream::Stdout, format!("{number:060}").as_bytes());
            writer.flush();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        for file in files(folder.path()) {
            assert!(fs::metadata(&file).unwrap().len() < 300, "{}", file.display());
        }
        assert!(fs::read_to_string(folder.path().join("log")).unwrap().contains("00019\n"));
    }
}
