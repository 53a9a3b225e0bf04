//! Reading what a container printed.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;

use model::log::LogLine;

use crate::LogQuery;
use crate::logfile::{files, parse_line};

/// The newest matching lines, oldest first. Files are read from the newest one on and only as far as needed.
pub(super) fn read(folder: &Path, query: &LogQuery) -> io::Result<Vec<LogLine>> {
    let wanted = query.contains.as_ref().map(|text| text.to_lowercase());
    let mut found: VecDeque<LogLine> = VecDeque::new();
    for file in files(folder) {
        let content = match fs::read(&file) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in content.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if found.len() >= query.limit {
                return Ok(found.into());
            }
            let Some(line) = parse_line(line) else { continue };
            if query.from.is_some_and(|from| line.at < from) {
                continue;
            }
            let is_in_time = query.to.is_none_or(|to| line.at < to);
            if is_in_time && wanted.as_ref().is_none_or(|text| line.text.to_lowercase().contains(text)) {
                found.push_front(line);
            }
        }
    }
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use model::log::Stream;

    use super::*;
    use crate::logfile::LogWriter;

    #[test]
    fn a_query_gives_the_newest_matching_lines_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let second = |n: i64| Timestamp::from_second(1_000_000 + n).unwrap();
        let mut writer = LogWriter::open(folder.path());
        for (number, text) in ["one", "two", "Three", "four", "five"].iter().enumerate() {
            writer.line(second(number as i64), Stream::Stdout, text.as_bytes());
        }
        writer.flush();
        let texts = |query: &LogQuery| -> Vec<String> {
            read(folder.path(), query).unwrap().into_iter().map(|line| line.text).collect()
        };

        assert_eq!(texts(&LogQuery::newest(2)), ["four", "five"]);
        assert_eq!(texts(&LogQuery { contains: Some("E".into()), ..LogQuery::newest(2) }), ["Three", "five"]);
        let part = LogQuery { from: Some(second(1)), to: Some(second(3)), ..LogQuery::newest(9) };
        assert_eq!(texts(&part), ["two", "Three"]);
        assert_eq!(read(&folder.path().join("none"), &part).unwrap(), []);
    }
}
