//! The real binary with real containers, a real registry and real requests. Needs root.
//!
//! Every test starts its own installation on free ports and a data folder of its own, so they run side by side
//! and beside a real installation. Each one ends with a look for leftovers.

mod bad_input;
mod build_ends;
mod canary;
mod census;
mod crashes;
mod deploy_hook;
mod disk_full;
mod everything;
mod failing;
mod git_builds;
mod git_hostile;
mod git_lab;
mod git_private;
mod git_push;
mod harness;
mod instances;
mod interrupted;
mod kept_releases;
mod kill_matrix;
mod leftovers;
mod load;
mod local_image;
mod long_requests;
mod made;
mod out_of_memory;
mod private_bases;
mod private_images;
mod promotion;
mod repeated;
mod report;
mod restart;
mod signals;
mod slope;
mod soak;
mod sources;
mod stalled;
mod story;
mod together;
mod under_load;
mod unhealthy;
mod upgrade;
mod web_server;
