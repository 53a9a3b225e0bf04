//! Columns to values and back. What a column cannot hold is damage, and is named by its column.

use std::fmt::Display;
use std::str::FromStr;

use model::Timestamp;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, StoreError};

/// A text that parses, such as an id.
pub fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| damaged(column, &error))
}

/// Like [`parsed`], of a column that can be empty.
pub fn parsed_if_any<T: FromStr<Err: Display>>(row: &Row<'_>, column: &'static str) -> Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error| damaged(column, &error))).transpose()
}

/// A value from its JSON text.
pub fn json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, &error))
}

/// A value that is kept as JSON text; `NULL` is none.
pub fn json_if_any<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| damaged(column, &error))).transpose()
}

/// A value of an enum from its word.
pub fn word<T: DeserializeOwned>(text: String, column: &'static str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| damaged(column, &error))
}

/// The JSON text of a value.
pub fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| damaged("a new value", &error))
}

/// A moment.
pub fn at(row: &Row<'_>, column: &'static str) -> Result<Timestamp> {
    moment(row.get(column)?, column)
}

/// A moment that may not have come.
pub fn at_if_any(row: &Row<'_>, column: &'static str) -> Result<Option<Timestamp>> {
    let nanoseconds: Option<i64> = row.get(column)?;
    nanoseconds.map(|nanoseconds| moment(nanoseconds, column)).transpose()
}

/// Nanoseconds since 1970. A moment that does not fit (before 1678, after 2261) becomes the nearest that does.
pub fn nanoseconds(at: Timestamp) -> i64 {
    at.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn moment(nanoseconds: i64, column: &'static str) -> Result<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds.into()).map_err(|error| damaged(column, &error))
}

/// The value is not shown: it may be anything.
fn damaged(column: &str, error: &dyn Display) -> StoreError {
    StoreError::Damaged(format!("column {column}: {error}"))
}
