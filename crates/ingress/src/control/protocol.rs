//! One JSON text a line: a request, then its reply, as often as the client likes.

use std::io;
use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::table::RouteTable;

/// Changes when an older control plane could no longer talk to a newer ingress, or the other way round.
pub(crate) const PROTOCOL: u32 = 2;

/// Room for a table of some ten thousand routes.
const MAX_LINE: u64 = 16 << 20;

/// What the control plane asks.
#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    Hello,
    Routes,
    Publish {
        table: RouteTable,
    },
    Drain {
        backend: String,
        deadline_ms: u64,
    },
    Shutdown,
    /// From the control plane: lend me the public socket. The first byte of the reply bears it.
    Lend,
    /// From a new ingress: give me what you have. The first byte of the reply bears the open files.
    HandOver,
    /// From a new ingress: I serve, leave.
    TookOver,
    /// From the ingress that took over: route by this too while you leave.
    Follow {
        table: RouteTable,
    },
}

/// What the ingress answers.
#[derive(Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    Hello(Hello),
    /// The table in force, without its candidates.
    Routes {
        table: RouteTable,
    },
    /// `problem` says why the table, which is in force, could not be saved for the next start.
    Published {
        problem: Option<String>,
    },
    Drained(Drained),
    ShuttingDown,
    Lent,
    /// The table in force, candidates included.
    HandingOver {
        table: RouteTable,
    },
    Leaving,
    Following,
    Refused {
        problem: String,
    },
}

/// Who answers on the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    /// The version of the program that the process was started from.
    pub version: String,
    /// Tells two builds of the program apart.
    #[serde(default)]
    pub build: String,
    pub pid: u32,
    /// The public address, with the real port.
    pub http: SocketAddr,
    /// [`RouteTable::version`] of the table in force; 0 before the first.
    pub routes: u64,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Requests and tunnels still in flight when the deadline came; 0 when it finished in time.
    pub left: u64,
}

/// Reads one message. `None`: the other side is done.
pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let length = from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if length == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message without its end"));
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| {
        // The parser's message could quote a token, so only the position is told.
        let problem = format!("not understood at column {}", error.column());
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })
}

/// Writes one message.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}
