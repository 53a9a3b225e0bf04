//! Short forms of asking and changing. Every statement is prepared once per connection; every value is bound.

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql};

use crate::{Listed, Page, Result, StoreError};

/// A list that can be asked for in parts. All three texts are constants of this crate.
pub struct List {
    pub columns: &'static str,
    /// Tables and conditions: what follows `FROM`.
    pub from: &'static str,
    pub order: &'static str,
}

pub trait Query {
    /// The first row; none is [`StoreError::NotFound`].
    fn one<T>(&self, sql: &str, params: impl Params, map: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T>;
    /// The first row, if there is one.
    fn maybe<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>>;
    /// Every row.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>>;
    /// A part of a list and the length of the whole.
    fn part<T>(
        &self,
        list: &List,
        params: &[&dyn ToSql],
        page: Page,
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Listed<T>>;
    /// Changes rows.
    fn change(&self, sql: &str, params: impl Params) -> Result<usize>;
    /// Changes a row; none is [`StoreError::NotFound`].
    fn change_one(&self, sql: &str, params: impl Params) -> Result<()>;
}

impl Query for Connection {
    fn one<T>(&self, sql: &str, params: impl Params, map: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T> {
        self.maybe(sql, params, map)?.ok_or(StoreError::NotFound)
    }

    fn maybe<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare_cached(sql)?;
        statement.query_row(params, |row| Ok(map(row))).optional()?.transpose()
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(map(row)?);
        }
        Ok(found)
    }

    fn part<T>(
        &self,
        list: &List,
        params: &[&dyn ToSql],
        page: Page,
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Listed<T>> {
        let List { columns, from, order } = list;
        let total: i64 = self.one(&format!("SELECT count(*) FROM {from}"), params, |row| Ok(row.get(0)?))?;
        let Page { limit, offset } = page;
        let count = params.len();
        let sql = format!(
            "SELECT {columns} FROM {from} ORDER BY {order} LIMIT ?{} OFFSET ?{}",
            count + 1,
            count + 2
        );
        let mut bound = params.to_vec();
        bound.extend([&limit as &dyn ToSql, &offset]);
        Ok(Listed { rows: self.all(&sql, bound.as_slice(), map)?, total: total.unsigned_abs() })
    }

    fn change(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.prepare_cached(sql)?.execute(params)?)
    }

    fn change_one(&self, sql: &str, params: impl Params) -> Result<()> {
        match self.change(sql, params)? {
            0 => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }
}
