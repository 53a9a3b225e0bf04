//! Layers: from the network to files.
