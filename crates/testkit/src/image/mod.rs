//! Images made in code, with a tar writer of our own: what is tested is never tested with itself.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use testkit::image::{Image, Layer, Tar};
//! let files = Tar::new().dir("etc", 0o755).file("etc/greeting", "hello\n", 0o644);
//! let image = Image::new().layer(Layer::gzip(files)).env("A", "1").entrypoint(&["/bin/app"]).build();
//! image.push("127.0.0.1:5000", "demo/app", "1").await?;
//! # Ok(()) }
//! ```

mod built;
mod host;
mod layer;
mod layout;
mod push;
mod tar;

pub use built::{Built, Image, Index};
pub use layer::Layer;
pub use push::Remote;
pub use tar::{Entry, Tar, sign};

/// `sha256:<hex>` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
