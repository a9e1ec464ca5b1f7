//! The servers behind the proxies: several ports in one process, each echoing Dubbo, Bolt, HTTP/1.1
//! and gRPC.

use super::child;
use super::clock::now;
use super::link::Link;
use super::tls::Keys;
use super::wire::Service;
use anyhow::Context;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Serves on `ports` kernel-chosen ports until the process is ended; tells them on standard output.
/// Every answer is held back for `delay`. With a folder of keys only mutual TLS is accepted.
pub(super) fn run(ports: usize, delay: Duration, tls: Option<&Path>) -> anyhow::Result<()> {
    let keys = tls.map(Keys::server).transpose()?.map(Arc::new);
    child::runtime()?
        .block_on(child::while_wanted(async {
            let mut told = Vec::new();
            for _ in 0..ports {
                let listener = TcpListener::bind("127.0.0.1:0")
                    .await
                    .context("cannot listen")?;
                told.push(listener.local_addr()?.port().to_string());
                tokio::spawn(accept(listener, delay, keys.clone()));
            }
            child::tell(&told.join(" "))?;
            std::future::pending().await
        }))
        .unwrap_or(Ok(()))
}

async fn accept(listener: TcpListener, delay: Duration, keys: Option<Arc<Keys>>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let keys = keys.clone();
            tokio::spawn(async move {
                let link = match keys {
                    Some(keys) => keys.accept(stream).await?,
                    None => Link::new(stream)?,
                };
                // A connection that ends or breaks is over; the caller's side counts what it lost.
                if delay.is_zero() {
                    serve(link).await
                } else {
                    late(link, delay).await
                }
            });
        }
    }
}

async fn serve(mut link: Link) -> std::io::Result<()> {
    let mut service = Service::default();
    while link.turn(|frame, out| service.serve(frame, out)).await? {}
    Ok(())
}

/// Answers each call `delay` after it came.
async fn late(mut link: Link, delay: Duration) -> std::io::Result<()> {
    let mut service = Service::default();
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    loop {
        let due = waiting.front().map(|(at, _)| *at);
        let sleep = tokio::time::sleep_until(due.unwrap_or_else(now).into());
        let mut came = Vec::new();
        tokio::select! {
            open = link.turn(|frame, _| service.serve(frame, &mut came)) => if !open? { return Ok(()) },
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
