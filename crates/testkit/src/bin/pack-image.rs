//! Packs a static program as an OCI image: `pack-image PROGRAM ARCHIVE` writes a tar in the OCI layout, whose
//! only file is `/hello` and which listens on 8080.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use testkit::image::{Image, Layer, Tar};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [program, archive] = arguments.as_slice() else {
        bail!("usage: pack-image PROGRAM ARCHIVE");
    };
    let files = Tar::new().host_file(program, "hello").with_context(|| program.display().to_string())?;
    let image = Image::new()
        .layer(Layer::gzip(files))
        .entrypoint(&["/hello"])
        .user("65534:65534")
        .expose(8080)
        .build();
    image.write_archive(archive, "1").with_context(|| archive.display().to_string())
}
