//! The store's folders.
//!
//! ```text
//! ROOT/blobs/sha256/<hex>   manifests, indexes, configurations, verified
//! ROOT/layers/<diff id>/    layer.json and fs/, the files; 0700, in place by one rename
//! ROOT/local/<hex>          one loaded image: its name and its digest
//! ROOT/tmp/<n>              work under way; emptied when the store is opened
//! ```

mod blobs;
mod folders;
mod local;
mod locks;
mod record;
mod remove;

pub(crate) use folders::{Folders, Scratch, sync_folder};
pub(crate) use locks::Locks;
pub(crate) use record::LayerRecord;
pub(crate) use remove::remove_tree;
