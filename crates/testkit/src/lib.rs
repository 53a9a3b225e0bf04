//! For tests: sample images, registries good and bad, test servers.
