//! A certificate authority of a test, and servers that its certificates are for.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An authority that nobody knows until a program is given its certificate, for example as `SSL_CERT_FILE`.
#[derive(Debug)]
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A server's certificate with its key, as files. They live as long as the authority.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    /// Signed by itself.
    SelfSigned,
}

impl TestCa {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let folder = TempDir::new()?;
        // A name of its own, or another authority's signatures would only look broken.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("test authority {}", folder.path().display()));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(folder.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, folder })
    }

    /// The authority's certificate, PEM.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names and addresses.
    pub fn certificate(&self, names: &[&str]) -> Result<Certificate> {
        self.flawed(names, Flaw::None)
    }

    /// A certificate with something wrong.
    pub fn flawed(&self, names: &[&str], flaw: Flaw) -> Result<Certificate> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        if flaw == Flaw::Expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key)?,
            Flaw::None | Flaw::Expired => params.signed_by(&key, &self.issuer)?,
        };
        write_pair(self.folder.path(), &certificate.pem(), &key.serialize_pem())
    }
}

fn write_pair(folder: &Path, certificate: &str, key: &str) -> Result<Certificate> {
    // A folder of its own for each, which goes with the one around it.
    let folder = tempfile::Builder::new().prefix("server-").disable_cleanup(true).tempdir_in(folder)?;
    let pair =
        Certificate { certificate: folder.path().join("server.pem"), key: folder.path().join("server.key") };
    fs::write(&pair.certificate, certificate)?;
    fs::write(&pair.key, key)?;
    Ok(pair)
}

/// Takes connections over TLS, for `axum::serve`.
pub(crate) struct Listener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener {
    pub async fn bind(address: SocketAddr, certificate: &Certificate) -> Result<Self> {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let chain = vec![CertificateDer::from_pem_file(&certificate.certificate)?];
        let key = PrivateKeyDer::from_pem_file(&certificate.key)?;
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            // One at a time is enough for a test; who does not go on is not waited for.
            let handshake = tokio::time::timeout(Duration::from_secs(2), self.acceptor.accept(stream));
            if let Ok(Ok(stream)) = handshake.await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
