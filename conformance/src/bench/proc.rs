//! What the kernel says of a process and of the machine.

use anyhow::Context;
use std::collections::HashSet;
use std::fs;

/// Nanoseconds that all threads of a process have run. Exact while the process sleeps.
pub(crate) fn cpu_nanos(process: u32) -> anyhow::Result<u64> {
    let folder = format!("/proc/{process}/task");
    let mut sum = 0;
    for thread in fs::read_dir(&folder).with_context(|| format!("no {folder}"))? {
        // A thread may end between the listing and the reading; then it no longer counts.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        sum += text
            .split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
    }
    Ok(sum)
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("no {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no VmRSS in {path}"))
}

/// Files, sockets among them, that a process has open.
pub(crate) fn open_files(process: u32) -> anyhow::Result<usize> {
    let folder = format!("/proc/{process}/fd");
    Ok(fs::read_dir(&folder)
        .with_context(|| format!("no {folder}"))?
        .count())
}

/// Established IPv4 connections of a process to any of `ports`.
pub(crate) fn connections_to(process: u32, ports: &[u16]) -> anyhow::Result<usize> {
    const ESTABLISHED: &str = "01";
    let mut own = HashSet::new();
    for file in fs::read_dir(format!("/proc/{process}/fd"))? {
        let Ok(target) = fs::read_link(file?.path()) else {
            continue;
        };
        let name = target.to_string_lossy();
        if let Some(inode) = name
            .strip_prefix("socket:[")
            .and_then(|n| n.strip_suffix(']'))
        {
            own.insert(inode.to_owned());
        }
    }
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp"))?;
    let to_backend = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, remote, state, _, _, _, _, _, inode, ..] = words[..] else {
            return false;
        };
        let port = remote
            .split_once(':')
            .and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        state == ESTABLISHED && port.is_some_and(|p| ports.contains(&p)) && own.contains(inode)
    };
    Ok(table.lines().filter(to_backend).count())
}

/// Time of all processors in ticks: what the host took away, and the sum of everything.
#[derive(Clone, Copy)]
pub(crate) struct Ticks {
    steal: u64,
    all: u64,
}

impl Ticks {
    pub(crate) fn now() -> anyhow::Result<Self> {
        const STEAL: usize = 7;
        let text = fs::read_to_string("/proc/stat").context("no /proc/stat")?;
        let first = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first
            .split_whitespace()
            .skip(1)
            .take(STEAL + 1)
            .filter_map(|n| n.parse().ok())
            .collect();
        Ok(Self {
            steal: ticks.get(STEAL).copied().unwrap_or(0),
            all: ticks.iter().sum(),
        })
    }

    /// The share that the host took since `earlier`.
    pub(crate) fn stolen_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.steal.saturating_sub(earlier.steal) as f64 / all as f64
    }
}

/// The load average of the last minute.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// How many files a process may open at most.
pub(crate) fn open_files_limit() -> usize {
    fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("Max open files"))?;
            line.split_whitespace().nth(4)?.parse().ok()
        })
        .unwrap_or(1024)
}

/// The machine in a line: processor, cores, kernel.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
