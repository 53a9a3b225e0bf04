//! From a root filesystem to a process: bundle, runtime, shim, network, limits, logs.
