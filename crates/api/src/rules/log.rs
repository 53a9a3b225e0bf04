//! Log lines: which are asked for, and how one is shown.

use jiff::SignedDuration;
use model::log::Stream;
use model::{DeploymentId, Timestamp};
use serde_json::{Map, Value, json};
use store::DeploymentLogLine;
use wire::{Filter, LogEntry};

use crate::call::Query;
use crate::check;
use crate::error::ApiError;
use crate::platform::RuntimeLine;

const DEFAULT_LIMIT: u32 = 1000;
const MOST: u32 = 5000;
/// How many lines are read at most when filters may throw most of them away.
const MOST_FILTERED: usize = 20_000;

/// What a request for log lines asks for.
#[derive(Debug)]
pub struct Wanted {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub limit: usize,
    filters: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    key: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Contains(String),
    Lacks(String),
}

impl Wanted {
    /// Reads `from`, `to`, `limit` and `filters`.
    pub fn from_query(query: &Query) -> Result<Self, ApiError> {
        let moment = |name| query.text(name).map(|text| check::moment(name, text)).transpose();
        let (from, to) = (moment("from")?, moment("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(ApiError::invalid("from", "it is later than to"));
        }
        let limit = query.number("limit", 1, MOST)?.unwrap_or(DEFAULT_LIMIT) as usize;
        Ok(Self { from, to, limit, filters: conditions(query.text("filters"))? })
    }

    /// The range when the request leaves it open: the last hour.
    pub fn last_hour(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let to = self.to.unwrap_or(now);
        let hour_before = to.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
        (self.from.unwrap_or(hour_before), to)
    }

    /// How many lines to read so that enough pass the filters.
    pub fn lines_to_read(&self) -> usize {
        match self.filters.is_empty() {
            true => self.limit,
            false => MOST_FILTERED,
        }
    }

    /// The newest lines that pass, oldest first.
    pub fn choose(&self, mut entries: Vec<LogEntry>) -> Vec<LogEntry> {
        entries.retain(|entry| self.filters.iter().all(|condition| condition.holds(entry)));
        entries.split_off(entries.len().saturating_sub(self.limit))
    }
}

fn conditions(text: Option<&str>) -> Result<Vec<Condition>, ApiError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let filters: Vec<Filter> = serde_json::from_str(text).map_err(|error| {
        ApiError::invalid("filters", format!("it must be the JSON text of a list of filters: {error}"))
    })?;
    filters.into_iter().map(condition).collect()
}

fn condition(filter: Filter) -> Result<Condition, ApiError> {
    let operand = filter.value.as_ref().map(word);
    let one = || operand.clone().ok_or_else(|| ApiError::invalid("filters", "this operator needs a value"));
    let test = match filter.operator.as_str() {
        "EQUALS" => Test::OneOf(vec![one()?]),
        "NOT_EQUALS" => Test::NoneOf(vec![one()?]),
        "CONTAINS" => Test::Contains(one()?),
        "NOT_CONTAINS" => Test::Lacks(one()?),
        "IN" => {
            let values = filter.values.ok_or_else(|| ApiError::invalid("filters", "IN needs values"))?;
            Test::OneOf(values.iter().map(word).collect())
        }
        other => {
            let known = "EQUALS, NOT_EQUALS, CONTAINS, NOT_CONTAINS and IN";
            return Err(ApiError::invalid("filters", format!("{other:?} is no operator; there are {known}")));
        }
    };
    Ok(Condition { key: filter.key, test })
}

impl Condition {
    fn holds(&self, entry: &LogEntry) -> bool {
        let have = self.field(entry);
        match (&self.test, have) {
            (Test::OneOf(values), Some(have)) => values.contains(&have),
            (Test::NoneOf(values), Some(have)) => !values.contains(&have),
            (Test::Contains(part), Some(have)) => have.contains(part),
            (Test::Lacks(part), Some(have)) => !have.contains(part),
            // A line without the field has no value to be equal to.
            (Test::OneOf(_) | Test::Contains(_), None) => false,
            (Test::NoneOf(_) | Test::Lacks(_), None) => true,
        }
    }

    fn field(&self, entry: &LogEntry) -> Option<String> {
        match self.key.as_str() {
            "message" => Some(entry.message.clone()),
            "severity" => Some(entry.severity.clone()),
            "service" => Some(entry.service.clone()),
            key => entry.tags.get(key).or_else(|| entry.attributes.get(key)).map(word),
        }
    }
}

/// A text, number or boolean as the text to compare.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A line that a container printed. What goes to the error output counts as an error.
pub fn show_runtime(index: usize, line: &RuntimeLine) -> LogEntry {
    let (stream, severity) = match line.line.stream {
        Stream::Stdout => ("stdout", "INFO"),
        Stream::Stderr => ("stderr", "ERROR"),
    };
    let mut tags = Map::new();
    tags.insert("deployment".into(), json!(line.deployment.to_string()));
    tags.insert("stream".into(), json!(stream));
    if let Some(instance) = line.instance {
        tags.insert("instance".into(), json!(instance));
    }
    if let Some(process) = line.process {
        tags.insert("process".into(), json!(process.to_string()));
    }
    let origin = Origin { service: "APP_RUNTIME", severity, tags };
    entry(index, line.line.at, line.line.text.clone(), origin)
}

/// A line of a deployment's own log.
pub fn show_deployment(deployment: DeploymentId, line: &DeploymentLogLine) -> LogEntry {
    let mut tags = Map::new();
    tags.insert("deployment".into(), json!(deployment.to_string()));
    let origin = Origin { service: "APP_DEPLOYMENT", severity: &line.severity, tags };
    entry(line.id, line.at, line.text.clone(), origin)
}

/// Where a line comes from.
struct Origin<'a> {
    service: &'static str,
    severity: &'a str,
    tags: Map<String, Value>,
}

/// A line with its time in the two forms of the API.
fn entry(index: impl std::fmt::Display, at: Timestamp, message: String, origin: Origin<'_>) -> LogEntry {
    LogEntry {
        id: format!("{}-{index}", at.as_microsecond()),
        message,
        service: origin.service.to_owned(),
        severity: origin.severity.to_owned(),
        timestamp: at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        tags: origin.tags,
        attributes: Map::new(),
        unix_timestamp: at.as_microsecond(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<LogEntry> {
        [("INFO", "GET /a"), ("ERROR", "boom"), ("INFO", "GET /b")]
            .into_iter()
            .enumerate()
            .map(|(index, (severity, text))| {
                let at = Timestamp::from_microsecond(1_771_774_200_000_000 + index as i64).unwrap();
                let tags = Map::from_iter([("stream".to_owned(), json!("stdout"))]);
                entry(index, at, text.to_owned(), Origin { service: "APP_RUNTIME", severity, tags })
            })
            .collect()
    }

    fn chosen(query: &str) -> Vec<String> {
        let wanted = Wanted::from_query(&Query::parse(query)).unwrap();
        wanted.choose(lines()).into_iter().map(|entry| entry.message).collect()
    }

    #[test]
    fn of_too_many_lines_the_newest_come_oldest_first() {
        assert_eq!(chosen("limit=2"), ["boom", "GET /b"]);
        assert_eq!(chosen(""), ["GET /a", "boom", "GET /b"]);
    }

    #[test]
    fn every_filter_must_hold() {
        assert_eq!(chosen(r#"filters=[{"key":"severity","operator":"EQUALS","value":"ERROR"}]"#), ["boom"]);
        assert_eq!(chosen(r#"filters=[{"key":"message","operator":"CONTAINS","value":"/b"}]"#), ["GET /b"]);
        assert_eq!(chosen(r#"filters=[{"key":"stream","operator":"IN","values":["stderr"]}]"#), [""; 0]);
        assert_eq!(chosen(r#"filters=[{"key":"other","operator":"NOT_EQUALS","value":1}]"#).len(), 3);
        assert_eq!(
            chosen(r#"limit=1&filters=[{"key":"severity","operator":"NOT_EQUALS","value":"ERROR"}]"#),
            ["GET /b"]
        );
        for bad in [
            "filters=x",
            "filters={}",
            r#"filters=[{"key":"a","operator":"LIKE","value":"b"}]"#,
            "limit=5001",
            "from=yesterday",
            "from=2026-02-22T15:30:00Z&to=2026-02-22T15:29:00Z",
        ] {
            assert!(Wanted::from_query(&Query::parse(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_timestamp_is_written_for_people() {
        assert_eq!(lines()[0].timestamp, "2026-02-22 15:30:00.000");
    }
}
