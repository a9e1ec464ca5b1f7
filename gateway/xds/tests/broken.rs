//! Files that are refused, each with everything that is said about it.
//!
//! `tests/broken/NAME.yaml` (or `.json`) is the file, `NAME.txt` the problems, one a line.

use std::{fs, path::Path};

use crossdock_xds::bootstrap::{self, Format, Options};

#[test]
fn every_broken_file_gives_its_messages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut checked = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let format = match path.extension().and_then(|e| e.to_str()) {
            Some("yaml") => Format::Yaml,
            Some("json") => Format::Json,
            _ => continue,
        };
        let text = fs::read_to_string(&path).unwrap();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let rejected = bootstrap::parse(&name, &text, format, &Options::default()).unwrap_err();
        assert_eq!(rejected.to_string(), expected.trim_end(), "{name}");
        // The same from the disk, under its full name.
        let rejected = bootstrap::load(&path).unwrap_err();
        let loaded = rejected.to_string().replace(path.to_str().unwrap(), &name);
        assert_eq!(loaded, expected.trim_end(), "{name}");
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
}

#[test]
fn a_file_that_cannot_be_read() {
    let rejected = bootstrap::load(Path::new("no/such/file.yaml")).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "no/such/file.yaml:1:1: cannot be read: No such file or directory (os error 2)"
    );
    let rejected = bootstrap::load_with(None, &Options::default()).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "--config-yaml:1:1: there is no configuration; name a file with -c"
    );
}
