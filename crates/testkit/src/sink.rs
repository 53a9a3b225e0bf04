//! A listener that nobody may ever contact.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Records every connection with the first bytes that came over it. Dropped, it stops.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    contacts: Arc<Mutex<Vec<Vec<u8>>>>,
    server: JoinHandle<()>,
}

impl Sink {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens at an address; port 0 is a free one.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let contacts: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let server = tokio::spawn(record(listener, contacts.clone()));
        Ok(Self { address, contacts, server })
    }

    /// Address and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came, one entry for each connection.
    pub fn contacts(&self) -> Vec<Vec<u8>> {
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn record(listener: TcpListener, contacts: Arc<Mutex<Vec<Vec<u8>>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut all = contacts.lock().unwrap_or_else(PoisonError::into_inner);
        let index = all.len();
        all.push(Vec::new());
        drop(all);
        tokio::spawn(first_bytes(stream, index, contacts.clone()));
    }
}

async fn first_bytes(mut stream: TcpStream, index: usize, contacts: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut bytes)).await;
    let count = read.ok().and_then(Result::ok).unwrap_or(0);
    let mut all = contacts.lock().unwrap_or_else(PoisonError::into_inner);
    all[index] = bytes[..count].to_vec();
}
