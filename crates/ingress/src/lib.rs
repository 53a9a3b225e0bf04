//! From requests to containers: listener, router, proxy, probe, drain.
