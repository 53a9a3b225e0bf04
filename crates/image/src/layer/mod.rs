//! Layers: from the network, or a file, to files in place.

mod budget;
mod dir_fixes;
mod pace;
mod place;
mod pull;
mod slots;
mod unpacker;

pub(crate) use budget::Budget;
pub(crate) use dir_fixes::dir_fixes;
pub(crate) use pull::{Origin, Tools, bring, check_sizes, here};
pub(crate) use slots::Slots;
