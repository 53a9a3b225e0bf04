//! Repositories read with git from real servers: `git http-backend` over HTTP and HTTPS, and Debian's `sshd`.

mod ending;
mod hostile;
mod lfs;
mod names;
mod private;
mod public;
mod redirects;
mod submodules;
mod support;
