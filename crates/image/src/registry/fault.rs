//! Failed connections in words.

use std::error::Error;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::clean;

/// The first cause that says something itself. The outer layers of reqwest and hyper name the address, which
/// may hold what must not be shown.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    let inside_io = find::<std::io::Error>(error).filter(|io| io.raw_os_error().is_some());
    let text = inside_io.map_or_else(|| inner.to_string(), |io| io.kind().to_string());
    clean(&text)
}

/// Why there is no secure connection.
pub(super) fn tls_words(error: &rustls::Error) -> String {
    use CertificateError as Certificate;
    let words = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                "its certificate is from nobody that this server trusts"
            }
            Certificate::Revoked => "its certificate was revoked",
            other => return format!("its certificate is not valid: {}", clean(&format!("{other:?}"))),
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS",
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => "it speaks no version of TLS from 1.2 on",
        other => return clean(&other.to_string()),
    };
    words.to_owned()
}

/// Looks for a cause of one kind, also inside I/O errors, whose `source` skips what they wrap.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
