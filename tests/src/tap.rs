//! A relay that keeps what passes, to see which protocol a peer really speaks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Octets kept in each direction; more pass and are forgotten.
const KEPT: usize = 1 << 20;

/// Relays every connection to one address and keeps the octets of each direction.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    up: Arc<Mutex<Vec<u8>>>,
    down: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Listens on a port of the kernel's choice until the test program ends.
    #[must_use]
    pub fn before(upstream: SocketAddr) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (up, down) = (Arc::default(), Arc::default());
        let tap = Self {
            address,
            up: Arc::clone(&up),
            down: Arc::clone(&down),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(upstream) else {
                    continue;
                };
                pass(&client, &server, &up);
                pass(&server, &client, &down);
            }
        });
        tap
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients sent so far.
    #[must_use]
    pub fn up(&self) -> Vec<u8> {
        self.up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What servers sent so far.
    #[must_use]
    pub fn down(&self) -> Vec<u8> {
        self.down
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn pass(from: &TcpStream, to: &TcpStream, kept: &Arc<Mutex<Vec<u8>>>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
        return;
    };
    let kept = Arc::clone(kept);
    thread::spawn(move || {
        let mut block = [0; 16 * 1024];
        while let Ok(size @ 1..) = from.read(&mut block) {
            let octets = block.get(..size).unwrap_or_default();
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(kept.len()).min(size);
            kept.extend_from_slice(octets.get(..room).unwrap_or_default());
            drop(kept);
            if to.write_all(octets).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
