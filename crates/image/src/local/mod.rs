//! Images loaded from disk: OCI layouts (OCI image-spec, image-layout.md), as a folder or a tar.

mod layout;

pub(crate) use layout::Layout;
