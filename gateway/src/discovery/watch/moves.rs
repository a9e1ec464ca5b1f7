//! What the kernel tells of directories: inotify(7).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::{Interest, unix::AsyncFd};

/// Bytes of events that are read at once: an event has 16, and the name of a file.
const READ: usize = 4096;

/// Events that are taken at once; the kernel keeps the others.
const MOST: usize = 1024;

/// Something that happened in a directory that is watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Something was moved there, and has this name now.
    Moved(PathBuf, OsString),
    /// A file that was written to was closed.
    Written(PathBuf),
    /// More happened than the kernel could keep.
    Lost,
}

/// The directories of which the kernel tells.
#[derive(Debug)]
pub(super) struct Moves {
    kernel: AsyncFd<OwnedFd>,
    watched: BTreeMap<PathBuf, Watched>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watched {
    /// The kernel's number. Two names of one directory have one number.
    number: i32,
    writes: bool,
}

impl Moves {
    /// Watches nothing yet. Needs a runtime around it.
    pub(super) fn new() -> io::Result<Self> {
        let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "what must hold of the descriptor holds of an `OwnedFd`, and no unsafe code \
                      is needed to say so"
        )]
        let kernel = AsyncFd::with_interest(kernel, Interest::READABLE)?;
        Ok(Self {
            kernel,
            watched: BTreeMap::new(),
        })
    }

    /// Watches these directories for moves, and for writes where that is said. One that cannot be
    /// watched, or is another one by now, is tried the next time.
    pub(super) fn watch(&mut self, directories: &BTreeMap<PathBuf, bool>) {
        let before = std::mem::take(&mut self.watched);
        for (path, writes) in directories {
            match self.add(path, *writes) {
                Ok(number) => {
                    let writes = *writes;
                    let watched = Watched { number, writes };
                    self.watched.insert(path.clone(), watched);
                }
                Err(error) if before.contains_key(path) => {
                    tracing::warn!("{} is not watched any more: {error}", path.display());
                }
                Err(_) => {}
            }
        }
        let numbers: BTreeSet<i32> = self.watched.values().map(|now| now.number).collect();
        for Watched { number, .. } in before.values() {
            if !numbers.contains(number) {
                // A directory that is gone is not watched anyway.
                let _ = inotify::remove_watch(&self.kernel, *number);
            }
        }
    }

    /// Asks for a directory; asking again for the same one changes what is asked.
    fn add(&self, path: &Path, writes: bool) -> io::Result<i32> {
        let mut flags = WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        if writes {
            flags |= WatchFlags::CLOSE_WRITE;
        }
        Ok(inotify::add_watch(&self.kernel, path, flags)?)
    }

    /// Waits until there is something to take.
    pub(super) async fn ready(&self) {
        // It fails when the runtime ends, and then nothing is waited for.
        let _ = self.kernel.readable().await;
    }

    /// Takes what happened, each event once.
    pub(super) fn take(&self) -> BTreeSet<Event> {
        let mut events = BTreeSet::new();
        // Reading until there is nothing more also makes `ready` wait again.
        let _ = self.kernel.try_io(Interest::READABLE, |kernel| {
            let mut buffer = [MaybeUninit::uninit(); READ];
            let mut reader = Reader::new(kernel, &mut buffer);
            let mut taken = 0;
            while taken < MOST || !reader.is_buffer_empty() {
                let event = reader.next()?;
                taken += 1;
                self.add_event(&event, &mut events);
            }
            Ok(())
        });
        events
    }

    fn add_event(&self, event: &inotify::Event<'_>, events: &mut BTreeSet<Event>) {
        let kind = event.events();
        if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
            events.insert(Event::Lost);
            return;
        }
        let name = event
            .file_name()
            .map(|name| OsStr::from_bytes(name.to_bytes()));
        for (path, watched) in &self.watched {
            if watched.number != event.wd() {
                continue;
            }
            if let (true, Some(name)) = (kind.contains(ReadFlags::MOVED_TO), name) {
                events.insert(Event::Moved(path.clone(), name.to_owned()));
            } else if kind.contains(ReadFlags::CLOSE_WRITE) && watched.writes {
                events.insert(Event::Written(path.clone()));
            }
        }
    }
}
