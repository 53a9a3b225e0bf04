//! The store's folders.
//!
//! ```text
//! ROOT/blobs/sha256/<hex>   manifests, indexes, configurations, verified
//! ROOT/layers/<diff id>/    layer.json and fs/, the files; 0700, in place by one rename
//! ROOT/proofs/<hex>/        who had a document or layer from a registry, and may use it
//! ROOT/local/<hex>          one loaded image: its name and its digest
//! ROOT/tmp/<pid>-<n>/       work under way of one process; emptied when it is gone
//! ```

mod away;
mod blobs;
mod folders;
mod local;
mod locks;
mod proofs;
mod record;
mod remove;
mod space;
mod tenancy;

pub(crate) use folders::{Folders, Scratch, sync_folder};
pub(crate) use locks::Locks;
pub(crate) use proofs::Owner;
pub(crate) use record::LayerRecord;
pub(crate) use remove::remove_tree;
pub(crate) use space::{Free, NO_INODE, disk_full, has_room};
pub(crate) use tenancy::{OwnFolder, bringing, placing, sweeping};
