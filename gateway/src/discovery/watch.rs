//! Files that are moved into place while the process runs.
//!
//! As in Envoy, a *move* says that a file is to be read again, because only a move is atomic: what
//! is written into a file in place is not looked at. Where the kernel tells of moves
//! ([`moves`]) a file is read at once. Beside that every file is looked at each second, which
//! finds what the kernel does not tell: files on other machines, directories that were replaced
//! or came later, links within the path that lead elsewhere, events that were lost. What is found
//! that way counts when it stays as it is for two looks: it may be a file that is being written.

mod moves;
mod place;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crossdock_xds::discovery::{FileSource, Watch};
use tokio::time::Instant;

use self::{
    moves::{Event, Moves},
    place::Place,
};

/// How often files are looked at where the kernel tells of moves.
const EVERY: Duration = Duration::from_secs(1);

/// How often where it does not.
const EVERY_UNTOLD: Duration = Duration::from_millis(250);

/// How long more moves are waited for after one: files that are moved together are taken together.
const GATHER: Duration = Duration::from_millis(10);

/// The shortest time between two reads of a file at intervals.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Says which files are to be read again.
#[derive(Debug)]
pub(crate) struct Watcher {
    files: Arc<Mutex<Files>>,
    moves: Option<Moves>,
    /// Asked for and not yet fetched.
    due: BTreeSet<FileSource>,
}

/// What is watched.
#[derive(Debug, Default)]
struct Files {
    seen: BTreeMap<FileSource, Seen>,
}

/// What a file was like.
#[derive(Debug)]
struct Seen {
    /// When it was last read or found unchanged.
    place: Place,
    /// What was found at the last look and is not what was read.
    other: Option<Place>,
    /// When it is read the next time, if at intervals.
    next: Option<Instant>,
}

impl Watcher {
    /// Watches nothing yet.
    pub(crate) fn new() -> Self {
        let moves = Moves::new().inspect_err(|error| {
            tracing::info!("the system does not tell of moved files ({error}): they are looked at");
        });
        Self::with(moves.ok())
    }

    fn with(moves: Option<Moves>) -> Self {
        Self {
            files: Arc::default(),
            moves,
            due: BTreeSet::new(),
        }
    }

    /// Watches these files from now on, and no others. Gives those that were not watched before:
    /// what happened to them until now is not noticed.
    pub(crate) fn watch(&mut self, sources: &BTreeSet<FileSource>) -> BTreeSet<FileSource> {
        let mut files = lock(&self.files);
        let mut new = BTreeSet::new();
        files.seen.retain(|source, _| sources.contains(source));
        self.due.retain(|source| sources.contains(source));
        for source in sources {
            if !files.seen.contains_key(source) {
                files.seen.insert(source.clone(), Seen::of(source));
                new.insert(source.clone());
            }
        }
        if let Some(moves) = &mut self.moves {
            moves.watch(&files.directories());
        }
        new
    }

    /// Waits until files are to be read again, and names them. Loses none when dropped before.
    pub(crate) async fn changed(&mut self) -> BTreeSet<FileSource> {
        if lock(&self.files).seen.is_empty() {
            return std::future::pending().await;
        }
        loop {
            if !self.due.is_empty() {
                tokio::time::sleep(GATHER).await;
                self.told();
                return std::mem::take(&mut self.due);
            }
            let wait = self.wait();
            let is_told = match &self.moves {
                Some(moves) => tokio::time::timeout(wait, moves.ready()).await.is_ok(),
                None => {
                    tokio::time::sleep(wait).await;
                    false
                }
            };
            match is_told {
                true => self.told(),
                false => self.look().await,
            }
        }
    }

    /// How long nothing has to be done, if the kernel tells nothing.
    fn wait(&self) -> Duration {
        let every = match self.moves {
            Some(_) => EVERY,
            None => EVERY_UNTOLD,
        };
        let now = Instant::now();
        let files = lock(&self.files);
        let next = files.seen.values().filter_map(|seen| seen.next).min();
        next.map_or(every, |next| every.min(next.saturating_duration_since(now)))
    }

    /// Takes what the kernel tells.
    fn told(&mut self) {
        let Some(moves) = &mut self.moves else { return };
        let events = moves.take();
        let mut files = lock(&self.files);
        for event in &events {
            files.concerned(event, &mut self.due);
        }
    }

    /// Looks at every file. One may lie on another machine that does not answer.
    async fn look(&mut self) {
        let files = Arc::clone(&self.files);
        let is_told = self.moves.is_some();
        let found = tokio::task::spawn_blocking(move || {
            let mut files = lock(&files);
            (files.look(Instant::now(), is_told), files.directories())
        });
        match found.await {
            Ok((due, directories)) => {
                self.due.extend(due);
                if let Some(moves) = &mut self.moves {
                    moves.watch(&directories);
                }
            }
            Err(_) => tracing::error!("files could not be looked at"),
        }
    }
}

impl Files {
    /// The directories in which a move concerns a file, and whether a write does too.
    fn directories(&self) -> BTreeMap<PathBuf, bool> {
        let mut directories = BTreeMap::new();
        for source in self.seen.keys() {
            let (directory, writes) = match &source.watch {
                Watch::Path => (parent(&source.path), false),
                Watch::Directory { path, modified } => (path.as_path(), *modified),
                Watch::Interval(_) => continue,
            };
            *directories.entry(directory.to_owned()).or_insert(false) |= writes;
        }
        directories
    }

    /// Adds the files to `due` that have to be read because of an event.
    fn concerned(&mut self, event: &Event, due: &mut BTreeSet<FileSource>) {
        for (source, seen) in &mut self.seen {
            let is_due = match (&source.watch, event) {
                (Watch::Path, Event::Moved(directory, name))
                    if directory == parent(&source.path) =>
                {
                    source.path.file_name() == Some(name)
                        // Something else was moved, such as a link that the path leads over.
                        || !Place::of(&source.path).is_same_file(&seen.place)
                }
                (Watch::Directory { path, .. }, Event::Moved(directory, _)) => directory == path,
                (Watch::Directory { path, modified }, Event::Written(directory)) => {
                    *modified && directory == path
                }
                (Watch::Path | Watch::Directory { .. }, Event::Lost) => true,
                _ => false,
            };
            if is_due {
                *seen = Seen::of(source);
                due.insert(source.clone());
            }
        }
    }

    /// The files that have changed since they were read, or whose time has come.
    fn look(&mut self, now: Instant, is_told: bool) -> BTreeSet<FileSource> {
        let mut due = BTreeSet::new();
        for (source, seen) in &mut self.seen {
            if seen.look(source, now, is_told) {
                *seen = Seen::of(source);
                due.insert(source.clone());
            }
        }
        due
    }
}

impl Seen {
    fn of(source: &FileSource) -> Self {
        let next = match source.watch {
            Watch::Interval(interval) => {
                Instant::now().checked_add(interval.max(SHORTEST_INTERVAL))
            }
            Watch::Path | Watch::Directory { .. } => None,
        };
        Self {
            place: Place::of(watched(source)),
            other: None,
            next,
        }
    }

    /// Whether the file has to be read.
    fn look(&mut self, source: &FileSource, now: Instant, is_told: bool) -> bool {
        if let Watch::Interval(_) = source.watch {
            return self.next.is_some_and(|next| next <= now);
        }
        let place = Place::of(watched(source));
        let is_other = match source.watch {
            // What is moved within a directory changes its time.
            Watch::Directory { .. } if !is_told => place != self.place,
            _ => !place.is_same_file(&self.place),
        };
        if !is_other {
            self.other = None;
            return false;
        }
        let is_quiet = self.other == Some(place);
        self.other = Some(place);
        is_quiet
    }
}

/// What is looked at for a file.
fn watched(source: &FileSource) -> &Path {
    match &source.watch {
        Watch::Directory { path, .. } => path,
        Watch::Path | Watch::Interval(_) => &source.path,
    }
}

/// The directory that a file is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
