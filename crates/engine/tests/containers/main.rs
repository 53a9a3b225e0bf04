//! Real containers, through the real runtime. Needs root.

mod bench;
mod lifecycle;
