//! How a running ingress gives its listening socket to a newer process, so that no connection is refused.
//!
//! The control plane connects to the running ingress and starts the new one with that connection as its standard
//! input. Over it the new one gets the public socket, the lock of the state folder and the table in force. It puts
//! its own control socket in place, accepts, and says so; only then the old one leaves. Until that word the old
//! one can go on as before, and does when the connection ends. Afterwards the new one answers for both: the old
//! one follows its publications and tells what it still has in flight.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{BufReader, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::control::protocol::{self, Ask, Drained, Reply};
use crate::control::server::{self, Control};
use crate::error::IngressError;
use crate::table::RouteTable;

/// A new process that has not taken over within this time is given up; the old one goes on.
const DECIDED_WITHIN: Duration = Duration::from_secs(8);

/// One that leaves answers within moments, or is no longer asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two questions to one that leaves whether it is done with a backend.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What only one ingress has, and passes on.
pub(crate) struct Belongings {
    pub public: OwnedFd,
    pub lock: File,
}

/// What a new ingress got.
pub(crate) struct Taken {
    pub belongings: Belongings,
    pub table: RouteTable,
    pub predecessor: Predecessor,
}

/// The ingress that we took over from, while it finishes.
pub(crate) struct Predecessor {
    /// `None` once it is gone.
    connection: Mutex<Option<BufReader<UnixStream>>>,
}

/// The connection to the running ingress, when the control plane gave one as standard input.
pub(crate) fn offered(control: &Path) -> Option<std::os::unix::net::UnixStream> {
    let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
    let connection = std::os::unix::net::UnixStream::from(input);
    let peer = connection.peer_addr().ok()?;
    (peer.as_pathname() == Some(&server::name_when_made(control))).then_some(connection)
}

/// Asks the running ingress for what it has. It goes on serving.
pub(crate) async fn take(connection: std::os::unix::net::UnixStream) -> Result<Taken, IngressError> {
    let exchange = async {
        connection.set_nonblocking(true)?;
        let mut connection = BufReader::new(UnixStream::from_std(connection)?);
        protocol::write(&mut connection, &Ask::HandOver).await?;
        let Some([public, lock]) = receive(connection.get_ref()).await? else {
            return Err(io::Error::other("it did not send its socket"));
        };
        let Some(Reply::HandingOver { table }) = protocol::read(&mut connection).await? else {
            return Err(io::Error::other("it did not send its routes"));
        };
        let belongings = Belongings { public, lock: lock.into() };
        let predecessor = Predecessor { connection: Mutex::new(Some(connection)) };
        Ok(Taken { belongings, table, predecessor })
    };
    match tokio::time::timeout(DECIDED_WITHIN, exchange).await {
        Ok(taken) => taken.map_err(|error| IngressError::NotHandedOver(error.to_string())),
        Err(_) => Err(IngressError::NotHandedOver("it did not answer in time".to_owned())),
    }
}

/// Gives a new ingress what it needs and waits for its word. Whatever else happens, this one goes on.
pub(crate) async fn give(connection: &mut BufReader<UnixStream>, control: &Control) -> io::Result<()> {
    // A table that came now would be lost: the new ingress has its copy already.
    let _no_publication = control.publishing.lock().await;
    let Some(belongings) = control.share_belongings()? else {
        return protocol::write(connection, &Reply::Refused { problem: "it is leaving".to_owned() }).await;
    };
    let kept_name = KeptName::keep(&control.socket)?;
    send(connection.get_ref(), [belongings.public.as_fd(), belongings.lock.as_fd()]).await?;
    drop(belongings);
    let table = control.proxy.router.table();
    protocol::write(connection, &Reply::HandingOver { table }).await?;
    match tokio::time::timeout(DECIDED_WITHIN, protocol::read::<Ask>(connection)).await {
        Ok(Ok(Some(Ask::TookOver))) => {
            tracing::info!("another ingress took over; this one finishes what it has");
            kept_name.forget();
            control.let_go();
            control.proxy.leaving.cancel();
            protocol::write(connection, &Reply::Leaving).await
        }
        decided => {
            tracing::warn!(in_time = decided.is_ok(), "no ingress took over; this one goes on");
            drop(kept_name);
            protocol::write(connection, &Reply::Refused { problem: "it was too late".to_owned() }).await?;
            Err(io::Error::other("the handover was not completed"))
        }
    }
}

/// Gives the control plane a copy of the public socket, which keeps people waiting instead of refused should this
/// process die.
pub(crate) async fn lend(connection: &BufReader<UnixStream>, control: &Control) -> io::Result<Reply> {
    let Some(belongings) = control.share_belongings()? else {
        return Ok(Reply::Refused { problem: "it is leaving".to_owned() });
    };
    send(connection.get_ref(), [belongings.public.as_fd()]).await?;
    Ok(Reply::Lent)
}

/// The control plane's side of [`lend`].
pub(crate) async fn borrow(connection: UnixStream) -> io::Result<OwnedFd> {
    let mut connection = BufReader::new(connection);
    protocol::write(&mut connection, &Ask::Lend).await?;
    let Some([public]) = receive(connection.get_ref()).await? else {
        return Err(io::Error::other("it did not send its socket"));
    };
    match protocol::read(&mut connection).await? {
        Some(Reply::Lent) => Ok(public),
        _ => Err(io::Error::other("it did not say what it sent")),
    }
}

/// The public socket, when the control plane gave one as standard input: people may be waiting there already.
pub(crate) fn inherited(http: SocketAddr) -> Option<OwnedFd> {
    let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
    if !rustix::net::sockopt::socket_acceptconn(&input).ok()? {
        return None;
    }
    let listener = TcpListener::from(input);
    let here = listener.local_addr().ok()?;
    let is_it = here.ip() == http.ip() && (http.port() == 0 || here.port() == http.port());
    is_it.then(|| listener.into())
}

/// Gives up the standard input once what came over it was taken: open in its first place, it would keep the address
/// taken, and the one that we took over from waiting, for as long as this process lives.
pub(crate) fn let_go_of_input() -> io::Result<()> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(())
}

impl Predecessor {
    /// Tells it that we serve. An error: it does not leave, so we have to.
    pub(crate) async fn took_over(&self) -> Result<(), IngressError> {
        match self.ask(&Ask::TookOver).await {
            Some(Reply::Leaving) => Ok(()),
            Some(_) => Err(IngressError::NotHandedOver("it serves again by itself".to_owned())),
            // It died, and we have all that it had.
            None => Ok(()),
        }
    }

    /// Has it route by this table too: people still send requests on connections that it keeps.
    pub(crate) async fn follow(&self, table: &RouteTable) {
        let _ = self.ask(&Ask::Follow { table: table.clone() }).await;
    }

    /// Waits until it has nothing in flight for a backend; gives what is left at the deadline.
    pub(crate) async fn drain(&self, backend: &str, deadline: Duration) -> u64 {
        let began = Instant::now();
        loop {
            let ask = Ask::Drain { backend: backend.to_owned(), deadline_ms: 0 };
            match self.ask(&ask).await {
                Some(Reply::Drained(Drained { left })) if left > 0 => {
                    if began.elapsed() >= deadline {
                        return left;
                    }
                }
                _ => return 0,
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Has it end within seconds.
    pub(crate) async fn shut_down(&self) {
        let _ = self.ask(&Ask::Shutdown).await;
    }

    /// Returns when it is gone.
    pub(crate) async fn gone(&self) {
        while self.ask(&Ask::Hello).await.is_some() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// `None`: it is gone.
    async fn ask(&self, ask: &Ask) -> Option<Reply> {
        let mut place = self.connection.lock().await;
        let connection = place.as_mut()?;
        let exchange = async {
            // A refusal can be waiting behind a connection that takes nothing any more.
            let _ = protocol::write(connection, ask).await;
            protocol::read::<Reply>(connection).await.ok().flatten()
        };
        let reply = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.ok().flatten();
        if reply.is_none() {
            *place = None;
        }
        reply
    }
}

impl Control {
    /// Copies of what only one ingress has; `None` when this one has it no longer.
    fn share_belongings(&self) -> io::Result<Option<Belongings>> {
        let belongings = self.belongings.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Belongings { public, lock }) = belongings.as_ref() else { return Ok(None) };
        Ok(Some(Belongings { public: public.try_clone()?, lock: lock.try_clone()? }))
    }

    /// Gives up what only one ingress has. It is free as soon as nobody else has it.
    pub(crate) fn let_go(&self) {
        *self.belongings.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Belongings {
    /// `public` for this process to accept on.
    pub(crate) fn listener(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(TcpListener::from(self.public.try_clone()?))
    }
}

/// A second name of the control socket, under which it outlives that a new ingress takes its place. Unless it is
/// forgotten, the socket gets its first name back.
struct KeptName<'a> {
    socket: &'a Path,
    kept: PathBuf,
}

impl<'a> KeptName<'a> {
    fn keep(socket: &'a Path) -> io::Result<Self> {
        let kept = name_kept(socket);
        remove(&kept)?;
        fs::hard_link(socket, &kept)?;
        Ok(Self { socket, kept })
    }

    fn forget(self) {
        let _ = fs::remove_file(&self.kept);
    }
}

impl Drop for KeptName<'_> {
    fn drop(&mut self) {
        if self.kept.exists() {
            if let Err(error) = fs::rename(&self.kept, self.socket) {
                tracing::error!(%error, "the control socket did not get its name back");
            }
            // Of two names for one file a rename leaves both.
            let _ = fs::remove_file(&self.kept);
        }
    }
}

fn name_kept(socket: &Path) -> PathBuf {
    with_suffix(socket, ".kept")
}

/// Every name that an ingress with this control socket has in the socket's folder. One that is killed leaves them
/// there: its socket, and in the middle of a start or a handover another one beside it.
pub fn socket_names(control: &Path) -> [PathBuf; 3] {
    [control.to_owned(), server::name_when_made(control), name_kept(control)]
}

/// A name beside another one.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sends one or two open files along with a space, which is nothing in front of a JSON text.
async fn send<const N: usize>(connection: &UnixStream, files: [BorrowedFd<'_>; N]) -> io::Result<()> {
    let send = || {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut along = SendAncillaryBuffer::new(&mut room);
        along.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(connection, &[IoSlice::new(b" ")], &mut along, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    connection.async_io(Interest::WRITABLE, send).await
}

/// Takes one byte and what came along with it. To be called before anything else is read.
async fn receive<const N: usize>(connection: &UnixStream) -> io::Result<Option<[OwnedFd; N]>> {
    let receive = || {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut along = RecvAncillaryBuffer::new(&mut room);
        let mut byte = [0];
        recvmsg(connection, &mut [IoSliceMut::new(&mut byte)], &mut along, RecvFlags::CMSG_CLOEXEC)?;
        let mut files = Vec::new();
        for message in along.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                files.extend(received);
            }
        }
        Ok(files.try_into().ok())
    };
    connection.async_io(Interest::READABLE, receive).await
}
