use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// No test waits longer for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("crossdock-watch-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this content, written in place.
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Moves a new file into the place of this one.
    fn replace(&self, name: &str, content: &str) {
        let new = self.write(".new", content);
        fs::rename(new, self.path(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn plain(path: PathBuf) -> FileSource {
    FileSource {
        path,
        watch: Watch::Path,
    }
}

fn within(path: PathBuf, directory: PathBuf, modified: bool) -> FileSource {
    let watch = Watch::Directory {
        path: directory,
        modified,
    };
    FileSource { path, watch }
}

fn set(sources: &[&FileSource]) -> BTreeSet<FileSource> {
    sources.iter().copied().cloned().collect()
}

async fn changed(watcher: &mut Watcher) -> BTreeSet<FileSource> {
    let changed = tokio::time::timeout(PATIENCE, watcher.changed()).await;
    changed.expect("a change is noticed")
}

/// Both ways to learn of a change.
fn watchers() -> [Watcher; 2] {
    let told = Watcher::new();
    assert!(told.moves.is_some(), "inotify is there");
    [told, Watcher::with(None)]
}

#[tokio::test]
async fn a_file_moved_into_place_is_read_again() {
    for mut watcher in watchers() {
        let folder = Folder::new();
        let source = plain(folder.write("lds.yaml", "1"));
        watcher.watch(&set(&[&source]));
        for content in ["2", "3"] {
            folder.replace("lds.yaml", content);
            assert_eq!(changed(&mut watcher).await, set(&[&source]));
        }
    }
}

#[tokio::test]
async fn what_is_written_in_place_is_not_looked_at() {
    for mut watcher in watchers() {
        let folder = Folder::new();
        let written = plain(folder.write("cds.yaml", "1"));
        let moved = plain(folder.write("lds.yaml", "1"));
        watcher.watch(&set(&[&written, &moved]));
        folder.write("cds.yaml", "half of");
        folder.replace("lds.yaml", "2");
        assert_eq!(changed(&mut watcher).await, set(&[&moved]));
    }
}

#[tokio::test]
async fn files_that_are_moved_together_are_told_together() {
    for mut watcher in watchers() {
        let folder = Folder::new();
        let names = ["cds.yaml", "eds.yaml", "lds.yaml", "rds.yaml"];
        let sources = names.map(|name| plain(folder.write(name, "1")));
        let sources: BTreeSet<FileSource> = sources.into_iter().collect();
        watcher.watch(&sources);
        for name in names {
            folder.replace(name, "2");
        }
        let mut told = BTreeSet::new();
        while told != sources {
            told.extend(changed(&mut watcher).await);
        }
    }
}

/// A thousand moves are a few reads, and the last of them sees the last file.
#[tokio::test]
async fn many_moves_are_taken_together() {
    let mut watcher = Watcher::new();
    let folder = Folder::new();
    let source = plain(folder.write("lds.yaml", "0"));
    watcher.watch(&set(&[&source]));
    for count in 1..=1000 {
        folder.replace("lds.yaml", &count.to_string());
    }
    let mut reads = 0;
    loop {
        assert_eq!(changed(&mut watcher).await, set(&[&source]));
        reads += 1;
        assert_eq!(fs::read_to_string(&source.path).unwrap(), "1000");
        let quiet = Duration::from_millis(100);
        match tokio::time::timeout(quiet, watcher.changed()).await {
            Ok(_) => reads += 1,
            Err(_) => break,
        }
    }
    assert!(reads <= 2, "{reads} reads");
}

/// Kubernetes writes a new directory and swaps the link that leads to it.
fn swap(folder: &Folder, version: &str) {
    let directory = folder.path(version);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("xds.yaml"), version).unwrap();
    symlink(version, folder.path("..data_tmp")).unwrap();
    fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
}

#[tokio::test]
async fn a_config_map_is_read_when_its_link_is_swapped() {
    for by_directory in [true, false] {
        for mut watcher in watchers() {
            let folder = Folder::new();
            swap(&folder, "..2024_1");
            symlink("..data/xds.yaml", folder.path("xds.yaml")).unwrap();
            let path = folder.path("xds.yaml");
            let source = match by_directory {
                true => within(path, folder.0.clone(), false),
                false => plain(path),
            };
            watcher.watch(&set(&[&source]));
            for version in ["..2024_2", "..2024_3"] {
                swap(&folder, version);
                assert_eq!(changed(&mut watcher).await, set(&[&source]));
                assert_eq!(fs::read_to_string(&source.path).unwrap(), version);
            }
        }
    }
}

/// `/etc/current/lds.yaml`, where `current` is the link that is swapped.
#[tokio::test]
async fn a_link_further_up_is_followed() {
    let mut watcher = Watcher::new();
    let folder = Folder::new();
    for version in ["v1", "v2", "v3"] {
        fs::create_dir(folder.path(version)).unwrap();
        fs::write(folder.path(version).join("lds.yaml"), version).unwrap();
    }
    symlink("v1", folder.path("current")).unwrap();
    let source = plain(folder.path("current").join("lds.yaml"));
    watcher.watch(&set(&[&source]));
    for version in ["v2", "v3"] {
        symlink(version, folder.path("new")).unwrap();
        fs::rename(folder.path("new"), folder.path("current")).unwrap();
        assert_eq!(changed(&mut watcher).await, set(&[&source]));
        assert_eq!(fs::read_to_string(&source.path).unwrap(), version);
    }
}

#[tokio::test]
async fn writes_in_a_directory_count_if_that_is_said() {
    let mut watcher = Watcher::new();
    let folder = Folder::new();
    let path = folder.write("xds.yaml", "1");
    let moves = within(path.clone(), folder.0.clone(), false);
    let writes = within(path, folder.0.clone(), true);
    watcher.watch(&set(&[&moves, &writes]));
    folder.write("xds.yaml", "2");
    assert_eq!(changed(&mut watcher).await, set(&[&writes]));
    folder.replace("any", "2");
    assert!(changed(&mut watcher).await.contains(&moves));
}

#[tokio::test]
async fn a_file_can_be_read_at_intervals() {
    for mut watcher in watchers() {
        let folder = Folder::new();
        let source = FileSource {
            path: folder.write("xds.yaml", "1"),
            watch: Watch::Interval(Duration::from_millis(20)),
        };
        watcher.watch(&set(&[&source]));
        for _ in 0..3 {
            assert_eq!(changed(&mut watcher).await, set(&[&source]));
        }
    }
}

#[tokio::test]
async fn a_directory_may_come_later_and_go() {
    let mut watcher = Watcher::new();
    let folder = Folder::new();
    let directory = folder.path("later");
    let source = plain(directory.join("xds.yaml"));
    watcher.watch(&set(&[&source]));
    for _ in 0..2 {
        fs::create_dir(&directory).unwrap();
        fs::write(&source.path, "1").unwrap();
        assert_eq!(changed(&mut watcher).await, set(&[&source]));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(changed(&mut watcher).await, set(&[&source]));
    }
}

#[tokio::test]
async fn what_is_not_watched_any_more_is_not_told() {
    for mut watcher in watchers() {
        let folder = Folder::new();
        let sources = ["a", "b"].map(|name| plain(folder.write(name, "1")));
        watcher.watch(&sources.iter().cloned().collect());
        watcher.watch(&set(&[&sources[1]]));
        folder.replace("a", "2");
        folder.replace("b", "2");
        assert_eq!(changed(&mut watcher).await, set(&[&sources[1]]));
    }
}

#[test]
fn lost_events_have_everything_read() {
    let folder = Folder::new();
    let path = folder.write("xds.yaml", "1");
    let plain = plain(path.clone());
    let directory = within(path.clone(), folder.0.clone(), false);
    let interval = FileSource {
        path,
        watch: Watch::Interval(PATIENCE),
    };
    let mut files = Files::default();
    for source in [&plain, &directory, &interval] {
        files.seen.insert(source.clone(), Seen::of(source));
    }
    let mut due = BTreeSet::new();
    files.concerned(&Event::Lost, &mut due);
    assert_eq!(due, set(&[&plain, &directory]));
}

/// A file that changes between two looks is still being written.
#[test]
fn what_was_not_told_has_to_be_quiet() {
    let folder = Folder::new();
    let source = plain(folder.write("xds.yaml", "1"));
    let mut files = Files::default();
    files.seen.insert(source.clone(), Seen::of(&source));
    fs::rename(&source.path, folder.path("old")).unwrap();
    let mut look = |content: &str| {
        fs::write(&source.path, content).unwrap();
        files.look(Instant::now(), true).len()
    };
    assert_eq!([look("1"), look("12"), look("123")], [0, 0, 0]);
    let mut look = || files.look(Instant::now(), true).len();
    assert_eq!([look(), look()], [1, 0]);
}

#[tokio::test]
async fn intervals_have_a_shortest_length() {
    let folder = Folder::new();
    let source = FileSource {
        path: folder.write("xds.yaml", "1"),
        watch: Watch::Interval(Duration::from_millis(1)),
    };
    let before = Instant::now();
    let next = Seen::of(&source).next.unwrap();
    assert!(next >= before + SHORTEST_INTERVAL);
}
