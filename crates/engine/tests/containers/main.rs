//! Real containers, through the real runtime. Needs root.

mod bench;
mod exec;
mod faults;
mod hardening;
mod lifecycle;
mod limits;
mod logs;
mod network;
mod refusals;
