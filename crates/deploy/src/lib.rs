//! Makes a release serve: driver, steps, recover, retire.
