//! Files: lines arrive, in order, within limits, and to the end.

use std::{io, sync::mpsc, thread};

use super::{
    super::file::{Counters, FileMetric, Output},
    *,
};

/// Only what fills a buffer is written, so that a test decides when.
const NEVER: Flush = Flush {
    interval: Duration::from_secs(3600),
    size: usize::MAX,
};

fn config(path: &Path, format: &str) -> Vec<Proto> {
    let typed = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    logs(&format!(
        "- typed_config: {{\"@type\": {typed}, path: {}, log_format: {{text_format_source: \
         {{inline_string: \"{format}\"}}}}}}",
        path.display()
    ))
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not happen within 10 s");
}

fn group(registry: &Registry) -> Arc<crossdock_framework::stats::Group> {
    registry.group::<FileMetric>("access_log_file", "")
}

#[test]
fn lines_are_appended_to_the_file() {
    let folder = Folder::new("appended");
    let path = folder.file("log");
    fs::write(&path, "before\n").expect("the folder is writable");
    let registry = Registry::new(1);
    let files = Files::new(&registry, 1, NEVER);
    let compiled = compile(&config(&path, "%RESPONSE_CODE%\\n"), &files).expect("it is right");
    let call = Call::answered();
    compiled[0].log(&call.record());
    compiled[0].log(&call.refused(Cause::NoRoute));
    files.close(Duration::from_secs(10));
    assert_eq!(
        fs::read_to_string(&path).expect("it is there"),
        "before\n200\n404\n"
    );
    let stats = group(&registry);
    assert_eq!(
        [
            FileMetric::Buffered,
            FileMetric::Dropped,
            FileMetric::Completed,
            FileMetric::Failed
        ]
        .map(|metric| stats.get(metric)),
        [2, 0, 1, 0]
    );
}

#[test]
fn lines_are_written_after_the_interval() {
    let folder = Folder::new("interval");
    let path = folder.file("log");
    let flush = Flush {
        interval: Duration::from_millis(10),
        ..NEVER
    };
    let files = Files::new(&Registry::new(1), 1, flush);
    let compiled = compile(&config(&path, "%PROTOCOL%\\n"), &files).expect("it is right");
    compiled[0].log(&Call::answered().record());
    wait_for("a write", || {
        fs::read_to_string(&path).is_ok_and(|text| text == "dubbo\n")
    });
}

#[test]
fn lines_are_written_when_enough_wait() {
    let folder = Folder::new("size");
    let path = folder.file("log");
    let files = Files::new(&Registry::new(1), 1, Flush { size: 20, ..NEVER });
    let compiled = compile(&config(&path, "%PROTOCOL%\\n"), &files).expect("it is right");
    for _ in 0..4 {
        compiled[0].log(&Call::answered().record());
    }
    wait_for("a write", || {
        fs::read_to_string(&path).is_ok_and(|text| text.len() >= 24)
    });
}

#[test]
fn logs_to_one_path_share_one_file() {
    let folder = Folder::new("shared");
    let path = folder.file("log");
    let files = Files::new(&Registry::new(1), 1, NEVER);
    let open = |path: &Path| {
        files
            .open(Target::Path(path.to_owned()))
            .expect("it is writable")
    };
    let (one, same, other) = (open(&path), open(&path), open(&folder.file("other")));
    assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
    drop((one, same));
    assert!(open(&path).is_open());
}

#[test]
fn the_number_of_files_is_limited() {
    let folder = Folder::new("many");
    let files = Files::new(&Registry::new(1), 1, NEVER);
    let open = |ix: usize| files.open(Target::Path(folder.file(&ix.to_string())));
    let mut kept: Vec<_> = (0..64)
        .map(|ix| open(ix).expect("within the limit"))
        .collect();
    assert!(open(64).is_err());
    kept.pop();
    assert!(open(64).is_ok());
}

#[test]
fn unopened_files_leave_no_trace() {
    let folder = Folder::new("unopened");
    let path = folder.file("log");
    let compiled = compile(&config(&path, "x\\n"), &Files::unopened()).expect("it is right");
    compiled[0].log(&Call::answered().record());
    assert!(!path.exists());
}

#[test]
fn the_device_names_are_the_streams() {
    assert_eq!(Target::of_path("/dev/stdout"), Target::Stdout);
    assert_eq!(Target::of_path("/dev/stderr"), Target::Stderr);
    assert_eq!(
        Target::of_path("/dev/null"),
        Target::Path("/dev/null".into())
    );
}

/// A sink that waits for leave before each write.
struct Slow {
    leave: mpsc::Receiver<()>,
    written: mpsc::Sender<Vec<u8>>,
}

impl io::Write for Slow {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.leave.recv().map_err(io::Error::other)?;
        self.written
            .send(octets.to_vec())
            .map_err(io::Error::other)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_is_too_slow_loses_lines_and_counts_them() {
    let registry = Registry::new(1);
    let stats = group(&registry);
    let (give, leave) = mpsc::channel();
    let (written, read) = mpsc::channel();
    let flush = Flush {
        interval: Duration::from_millis(1),
        ..NEVER
    };
    let slow = Box::new(Slow { leave, written });
    let output =
        Output::start(slow, 1, flush, Counters::new(Arc::clone(&stats))).expect("a thread");
    // The thread takes the first line and is stuck with it; then the lane fills.
    output.push(b"first\n");
    wait_for("the first write", || output.waiting() == 0);
    let line = [b'x'; 1024];
    for _ in 0..LANE_MAX / 1024 + 5 {
        output.push(&line);
    }
    assert_eq!(output.waiting(), LANE_MAX);
    give.send(()).expect("the thread is there");
    give.send(()).expect("the thread is there");
    let sizes: Vec<_> = read.iter().take(2).map(|octets| octets.len()).collect();
    assert_eq!(sizes, [6, LANE_MAX]);
    wait_for("the count", || stats.get(FileMetric::Dropped) == 5);
    assert_eq!(
        stats.get(FileMetric::Buffered),
        1 + (LANE_MAX / 1024) as u64
    );
    // Without leave the file takes nothing more; the end does not wait for it.
    drop(give);
    output.push(b"lost\n");
    wait_for("the failure", || stats.get(FileMetric::Failed) == 1);
}

#[test]
fn the_end_does_not_wait_for_a_stuck_file() {
    let registry = Registry::new(1);
    let (give, leave) = mpsc::channel();
    let (written, read) = mpsc::channel();
    let slow = Box::new(Slow { leave, written });
    let counters = Counters::new(group(&registry));
    let output = Output::start(slow, 1, NEVER, counters).expect("a thread");
    let files = Files::new(&registry, 1, NEVER);
    let output = files.adopt(Target::Stdout, output);
    output.push(b"stuck\n");
    files.close(Duration::from_millis(20));
    give.send(()).expect("the thread is still there");
    assert_eq!(read.recv().expect("it writes what it had"), b"stuck\n");
}

#[test]
fn each_thread_keeps_its_order() {
    let folder = Folder::new("order");
    let path = folder.file("log");
    let registry = Registry::new(4);
    let files = Files::new(
        &registry,
        4,
        Flush {
            interval: Duration::from_millis(1),
            size: 64,
        },
    );
    let output = files
        .open(Target::Path(path.clone()))
        .expect("it is writable");
    thread::scope(|scope| {
        for thread in 0..8 {
            let output = &output;
            scope.spawn(move || {
                for ix in 0..500 {
                    output.push(format!("{thread} {ix}\n").as_bytes());
                }
            });
        }
    });
    files.close(Duration::from_secs(10));
    let text = fs::read_to_string(&path).expect("it is there");
    let mut next = [0; 8];
    for line in text.lines() {
        let (thread, ix) = line.split_once(' ').expect("two numbers");
        let next = &mut next[thread.parse::<usize>().expect("a number")];
        assert_eq!(ix.parse(), Ok(*next), "{line}");
        *next += 1;
    }
    assert_eq!(next, [500; 8]);
}
