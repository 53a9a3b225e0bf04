//! Reading a log that grows, so that every line is seen once.

use jiff::Timestamp;
use wire::LogEntry;

/// The most lines that the API gives at once.
pub const MOST: u32 = 5000;

/// Where a follower is. Ids are unique within one answer only, so the place is told by the last moment and by
/// how many lines of that moment were shown.
#[derive(Default)]
pub struct Tail {
    last: Option<i64>,
    shown: usize,
}

impl Tail {
    /// Start of the next range: the last moment itself, for lines of the same moment that were not there yet.
    pub fn from(&self) -> Option<String> {
        Timestamp::from_microsecond(self.last?).ok().map(|moment| moment.to_string())
    }

    /// The lines that were not shown yet, which count as shown from now on.
    pub fn new_ones(&mut self, entries: Vec<LogEntry>) -> Vec<LogEntry> {
        let (last, mut known) = (self.last, self.shown);
        let new: Vec<LogEntry> = entries
            .into_iter()
            .filter(|entry| match last {
                Some(last) if entry.unix_timestamp < last => false,
                Some(last) if entry.unix_timestamp == last && known > 0 => {
                    known -= 1;
                    false
                }
                _ => true,
            })
            .collect();
        for entry in &new {
            if self.last == Some(entry.unix_timestamp) {
                self.shown += 1;
            } else if self.last < Some(entry.unix_timestamp) {
                (self.last, self.shown) = (Some(entry.unix_timestamp), 1);
            }
        }
        new
    }

    /// Whether a full answer begins after the place: then the lines between are not in it.
    pub fn has_gap(&self, entries: &[LogEntry]) -> bool {
        entries.len() >= MOST as usize
            && self.last.is_some_and(|last| entries.first().is_some_and(|entry| entry.unix_timestamp > last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, message: &str) -> LogEntry {
        LogEntry {
            id: message.into(),
            message: message.into(),
            service: "APP_RUNTIME".into(),
            severity: "INFO".into(),
            timestamp: String::new(),
            tags: serde_json::Map::new(),
            attributes: serde_json::Map::new(),
            unix_timestamp: at,
        }
    }

    #[test]
    fn a_follower_sees_every_line_once() {
        let mut tail = Tail::default();
        let mut see = |entries: &[(i64, &str)]| -> Vec<String> {
            let entries = entries.iter().map(|(at, message)| entry(*at, message)).collect();
            tail.new_ones(entries).into_iter().map(|entry| entry.message).collect()
        };
        assert_eq!(see(&[(1, "a"), (2, "b")]), ["a", "b"]);
        assert_eq!(see(&[(2, "b")]), [""; 0]);
        assert_eq!(see(&[(2, "b"), (2, "c")]), ["c"]);
        assert_eq!(see(&[(2, "b"), (2, "c"), (2, "d"), (5, "e")]), ["d", "e"]);
        assert_eq!(see(&[(5, "e"), (5, "f")]), ["f"]);
        assert_eq!(tail.from().as_deref(), Some("1970-01-01T00:00:00.000005Z"));
    }

    #[test]
    fn a_full_answer_that_begins_later_has_a_gap() {
        let tail = Tail { last: Some(5), shown: 1 };
        let full = |first: i64| -> Vec<LogEntry> {
            (first..first + i64::from(MOST)).map(|at| entry(at, "x")).collect()
        };
        assert!(tail.has_gap(&full(6)));
        assert!(!tail.has_gap(&full(5)));
        assert!(!tail.has_gap(&[entry(6, "x")]));
    }
}
