//! A plain TCP relay: one upstream connection for each client, bytes copied both ways, nothing read.
//! It is the floor under every proxy that this benchmark compares.

use super::child;
use anyhow::Context;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

/// Octets of the buffer for each direction: what a caller has in flight fits, so that no smaller
/// buffer makes the floor look higher than it is.
const BUFFER: usize = 64 << 10;

/// Relays connections to the upstreams in turn until the process is ended; tells its port.
pub(super) fn run(upstreams: &[SocketAddr]) -> anyhow::Result<()> {
    child::runtime()?
        .block_on(child::while_wanted(async {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("cannot listen")?;
            child::tell(&listener.local_addr()?.port().to_string())?;
            for upstream in upstreams.iter().copied().cycle() {
                let Ok((mut client, _)) = listener.accept().await else {
                    continue;
                };
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(upstream).await else {
                        return;
                    };
                    // A socket that cannot do without Nagle's delay still relays.
                    let _ = client
                        .set_nodelay(true)
                        .and_then(|()| server.set_nodelay(true));
                    // A connection that breaks is over on both sides; there is nobody to tell.
                    let _ = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER)
                        .await;
                });
            }
            anyhow::Ok(())
        }))
        .unwrap_or(Ok(()))
}
