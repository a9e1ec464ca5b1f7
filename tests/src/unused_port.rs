//! An address that refuses connections for as long as a test wants.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A port of loopback that nobody listens at: it is bound and never listens, so that the kernel gives it to
/// nobody else. The port of a listener that was dropped would be anybody's.
#[derive(Debug)]
pub struct UnusedPort {
    _socket: OwnedFd,
    address: SocketAddr,
}

impl UnusedPort {
    /// Takes a port of the kernel's choice until the value is dropped.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn take() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a TCP socket");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))
            .expect("loopback has a free port");
        let address = getsockname(&socket)
            .ok()
            .and_then(|at| SocketAddr::try_from(at).ok())
            .expect("a bound socket has an address");
        Self {
            _socket: socket,
            address,
        }
    }

    /// Where connections are refused.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
