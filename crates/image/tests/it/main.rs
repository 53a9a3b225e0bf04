//! The image store against registries: Debian's own, and one that misbehaves. Layers are unpacked as in the
//! product, which needs root.

mod faults;
mod hostile;
mod layouts;
mod net;
mod pulls;
mod realms;
mod redirects;
mod room;
mod sandbox;
mod support;
mod sweeps;
mod tenancy;
mod tokens;
mod travel;
mod trees;
mod trust;
mod verdicts;
