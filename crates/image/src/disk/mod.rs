//! The store's folders.
