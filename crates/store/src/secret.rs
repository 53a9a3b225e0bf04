//! A secret in clear text, for the one request that needs it.

use zeroize::Zeroizing;

/// A secret that was unsealed. It is wiped from memory when it goes, and cannot be printed, copied or serialized,
/// so that it cannot stray:
///
/// ```compile_fail
/// fn print(secret: store::Secret) {
///     println!("{secret:?}");
/// }
/// ```
/// ```compile_fail
/// fn copy(secret: &store::Secret) -> store::Secret {
///     secret.clone()
/// }
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The clear text, to be put where it is needed and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
