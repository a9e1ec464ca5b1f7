//! Certificates that change while the process runs.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use crossdock_framework::protocol::PeerCertificate;

use super::{
    certificate,
    identity::Identity,
    source::Source,
    trust::{Trust, TrustSource},
};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What is made of files, and can be made again.
pub(crate) trait Reload: fmt::Debug + Send + Sync {
    /// The files that its parts are read from.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads everything again. What is there stays where that fails.
    ///
    /// # Errors
    ///
    /// What an operator reads.
    fn reload(&self) -> Result<(), String>;

    /// The certificates in use.
    fn shown(&self) -> Vec<Shown>;
}

/// A certificate in use, as the admin endpoint shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Where it came from.
    pub(crate) file: String,
    /// Whether it is an authority that peers are judged by.
    pub(crate) authority: bool,
    pub(crate) says: Arc<PeerCertificate>,
}

impl Shown {
    pub(super) fn identity(identity: &Identity) -> Self {
        Self {
            file: identity.file.clone(),
            authority: false,
            says: Arc::clone(&identity.says),
        }
    }

    pub(super) fn authorities(trust: &Trust, source: &TrustSource) -> Vec<Self> {
        let file = source.authorities.as_ref().map(Source::name);
        let shown = trust.shown.iter().filter_map(|der| {
            Some(Self {
                file: file.clone().unwrap_or_default(),
                authority: true,
                says: Arc::new(certificate::describe(der)?),
            })
        });
        shown.collect()
    }

    /// Whole days until the certificate is not valid any more; below zero when it has expired.
    pub(crate) fn days_left(&self, now: SystemTime) -> i64 {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.says
            .not_after
            .saturating_sub(now)
            .div_euclid(24 * 3600)
    }
}

/// Every TLS context of the process that is in use.
#[derive(Debug, Default)]
pub(crate) struct Contexts(Mutex<Vec<Watched>>);

#[derive(Debug)]
struct Watched {
    context: Weak<dyn Reload>,
    /// What its files were like when they were last read.
    seen: Vec<Option<Print>>,
}

/// What changes with a file: replaced, renamed, written to or linked elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

fn prints(context: &dyn Reload) -> Vec<Option<Print>> {
    let files = context.files().into_iter();
    files.map(|file| Print::of(&file)).collect()
}

impl Contexts {
    /// Watches the files of a context from now on, for as long as somebody holds it.
    pub(crate) fn add(&self, context: &Arc<dyn Reload>) {
        let seen = prints(&**context);
        let context = Arc::downgrade(context);
        let mut watched = self.lock();
        watched.retain(|watched| watched.context.strong_count() > 0);
        watched.push(Watched { context, seen });
    }

    /// The certificates in use, those of one context together.
    pub(crate) fn shown(&self) -> Vec<Vec<Shown>> {
        let watched = self.lock();
        watched
            .iter()
            .filter_map(|watched| Some(watched.context.upgrade()?.shown()))
            .collect()
    }

    /// Looks at the files for as long as the process runs.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            if self.lock().iter().all(|watched| watched.seen.is_empty()) {
                continue;
            }
            let contexts = Arc::clone(&self);
            // A file may lie on another machine that does not answer.
            let looked = tokio::task::spawn_blocking(move || contexts.look());
            if looked.await.is_err() {
                tracing::error!("certificate files are not watched any more");
                return;
            }
        }
    }

    /// Reads again what has changed.
    fn look(&self) {
        for watched in self.lock().iter_mut() {
            let Some(context) = watched.context.upgrade() else {
                continue;
            };
            let now = prints(&*context);
            if now == watched.seen {
                continue;
            }
            watched.seen = now;
            let before = context.files();
            let files: Vec<_> = before
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            let files = files.join(", ");
            match context.reload() {
                Ok(()) => {
                    // A secret may name other files now.
                    if context.files() != before {
                        watched.seen = prints(&*context);
                    }
                    tracing::info!("certificates of {files} are read again");
                }
                Err(reason) => {
                    tracing::warn!("{reason}; the certificates read before stay in use");
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
