//! Layers: from the network, or a file, to files in place, or as they travel to a file of a layout.

mod budget;
mod dir_fixes;
mod pace;
mod place;
mod pull;
mod slots;
mod stream;
mod unpacker;

pub(crate) use budget::Budget;
pub(crate) use dir_fixes::dir_fixes;
pub(crate) use pull::{Origin, Tools, bring, check_sizes, here};
pub(crate) use slots::Slots;
pub(crate) use stream::{Repository, Taker, stream_registry};
