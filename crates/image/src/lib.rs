//! From an image reference to files: resolve, authenticate, fetch, verify, unpack, sweep.
