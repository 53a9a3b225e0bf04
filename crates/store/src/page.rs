//! Parts of long lists.

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many rows.
    pub limit: u32,
    /// Rows to leave out at the beginning.
    pub offset: u32,
}

/// A part of a list, and how long the whole list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    /// Rows of the whole list, counted at the same moment.
    pub total: u64,
}
