//! Ports that are free and stay so until the program under test listens there.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt::ReuseAddr,
};

/// A port of 127.0.0.1. While this is kept, the kernel gives the port to nobody who asks for any, neither to listen
/// nor to connect from; a program that asks for this very one, with `SO_REUSEADDR` as servers do, gets it, also again
/// after it was killed. Whoever connects to it meanwhile is refused.
#[derive(Debug)]
pub struct Port {
    _socket: OwnedFd,
    address: SocketAddr,
}

impl Port {
    /// One that nobody has.
    pub fn reserve() -> nix::Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))?;
        let address: SockaddrIn = getsockname(socket.as_raw_fd())?;
        Ok(Self { _socket: socket, address: SocketAddrV4::from(address).into() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_who_asks_for_the_very_port_gets_it() {
        let port = Port::reserve().unwrap();
        for _ in 0..3 {
            assert!(TcpStream::connect(port.address()).is_err(), "nobody listens yet");
            // The standard library sets `SO_REUSEADDR`.
            let listener = TcpListener::bind(port.address()).unwrap();
            let mut client = TcpStream::connect(port.address()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            // The server's side ends first and lingers, as after a kill.
            drop((accepted, listener));
            assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0);
        }
    }
}
