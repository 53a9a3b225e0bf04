//! Images loaded from disk.
