//! Pages of lists: `limit` and `offset`.

use store::Listed;

use crate::call::Query;

/// The part of a list that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub limit: u32,
    pub offset: u32,
}

pub const DEFAULT_LIMIT: u32 = 25;
const MOST: u32 = 100;
const FARTHEST: u32 = 10_000;

impl Page {
    /// Reads `limit` (1 to 100) and `offset` (0 to 10000). The API file knows no refusal here, so a number beyond
    /// the bounds becomes the nearest one, and what is no number counts as left out. The answer says what was
    /// applied.
    pub fn from_query(query: &Query, default_limit: u32) -> Self {
        let number = |name| query.text(name).and_then(|text| text.parse::<i64>().ok());
        let within =
            |value: i64, least: u32, most: u32| value.clamp(i64::from(least), i64::from(most)) as u32;
        Self {
            limit: number("limit").map_or(default_limit, |limit| within(limit, 1, MOST)),
            offset: number("offset").map_or(0, |offset| within(offset, 0, FARTHEST)),
        }
    }

    /// The envelope around the records of this part.
    pub fn envelope<T, W>(self, listed: &Listed<T>, show: impl FnMut(&T) -> W) -> wire::Page<W> {
        wire::Page {
            data: listed.rows.iter().map(show).collect(),
            total: listed.total,
            offset: u64::from(self.offset),
            limit: u64::from(self.limit),
        }
    }

    /// This part, for the store.
    pub fn of_store(self) -> store::Page {
        store::Page { limit: self.limit, offset: self.offset }
    }

    /// This part of a list that is at hand as a whole.
    pub fn cut<T>(self, all: Vec<T>) -> Listed<T> {
        let total = all.len() as u64;
        Listed { rows: all.into_iter().skip(self.offset as usize).take(self.limit as usize).collect(), total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded() {
        for (query, limit, offset) in [
            ("", 25, 0),
            ("limit=5&offset=7", 5, 7),
            ("limit=1000000000&offset=99999", 100, 10_000),
            ("limit=0&offset=-3", 1, 0),
            ("limit=x&offset=", 25, 0),
        ] {
            assert_eq!(
                Page::from_query(&Query::parse(query), DEFAULT_LIMIT),
                Page { limit, offset },
                "{query}"
            );
        }
        assert_eq!(Page { limit: 2, offset: 1 }.cut(vec![1, 2, 3, 4]), Listed { rows: vec![2, 3], total: 4 });
    }
}
