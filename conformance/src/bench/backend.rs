//! The servers behind the proxies: several ports in one process, each echoing Dubbo and Bolt.

use super::child;
use super::clock::now;
use super::link::Link;
use super::wire::Wire;
use anyhow::Context;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// Serves on `ports` kernel-chosen ports until the process is ended; tells them on standard output.
/// Every answer is held back for `delay`.
pub(super) fn run(ports: usize, delay: Duration) -> anyhow::Result<()> {
    child::runtime()?
        .block_on(child::while_wanted(async {
            let mut told = Vec::new();
            for _ in 0..ports {
                let listener = TcpListener::bind("127.0.0.1:0")
                    .await
                    .context("cannot listen")?;
                told.push(listener.local_addr()?.port().to_string());
                tokio::spawn(accept(listener, delay));
            }
            child::tell(&told.join(" "))?;
            std::future::pending().await
        }))
        .unwrap_or(Ok(()))
}

async fn accept(listener: TcpListener, delay: Duration) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A connection that ends or breaks is over; the caller's side counts what it lost.
                let _ = if delay.is_zero() {
                    serve(stream).await
                } else {
                    late(stream, delay).await
                };
            });
        }
    }
}

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut link = Link::new(stream)?;
    while link.turn(Wire::serve).await? {}
    Ok(())
}

/// Answers each call `delay` after it came.
async fn late(stream: TcpStream, delay: Duration) -> std::io::Result<()> {
    let mut link = Link::new(stream)?;
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    loop {
        let due = waiting.front().map(|(at, _)| *at);
        let sleep = tokio::time::sleep_until(due.unwrap_or_else(now).into());
        let mut came = Vec::new();
        tokio::select! {
            open = link.turn(|frame, _| Wire::serve(frame, &mut came)) => if !open? { return Ok(()) },
            () = sleep, if due.is_some() => {}
        }
        if !came.is_empty() {
            waiting.push_back((now() + delay, came));
        }
        while waiting.front().is_some_and(|(at, _)| *at <= now()) {
            if let Some((_, answers)) = waiting.pop_front() {
                link.out().extend_from_slice(&answers);
            }
        }
    }
}
