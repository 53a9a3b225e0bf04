//! Real containers, through the real runtime. Needs root.

mod bench;
mod bombs;
mod exec;
mod faults;
mod guests;
mod hanging;
mod hardening;
mod instances;
mod lifecycle;
mod limits;
mod logs;
mod network;
mod refusals;
mod restart;
mod supervisors;
