//! Paged lists, read to their end.

use serde::de::DeserializeOwned;
use wire::Page;

use crate::{Client, Error};

/// The largest page that the API gives.
const PAGE: u64 = 100;

/// The largest offset that the API takes.
const LAST_OFFSET: u64 = 10_000;

impl Client {
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        limit: u64,
        offset: u64,
    ) -> Result<Page<T>, Error> {
        let mut url = self.url(segments);
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string())
            .append_pair("offset", &offset.to_string());
        self.get(url).await
    }

    /// All records, page after page.
    pub(crate) async fn all<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<Vec<T>, Error> {
        let mut records = Vec::new();
        loop {
            let offset = records.len() as u64;
            let page: Page<T> = self.page(segments, PAGE, offset).await?;
            let is_last = page.data.is_empty();
            records.extend(page.data);
            let next = records.len() as u64;
            if is_last || next >= page.total || next > LAST_OFFSET {
                return Ok(records);
            }
        }
    }
}
