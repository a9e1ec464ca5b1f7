//! Ways in which files come into place.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crossdock_tests::Gateway;
use crossdock_tests::fake::Wire;
use serde_json::json;

use crate::none;
use crate::world::{World, bootstrap, host};

/// Kubernetes keeps the files of a ConfigMap in a directory, and swaps the link that leads to it.
fn swap(folder: &Path, version: &str, cluster: &str) {
    let data = folder.join("map").join(format!("..{version}"));
    fs::create_dir_all(&data).expect("the folder can be written");
    let text = none().routes("r", cluster).text(folder, version);
    fs::write(data.join("rds.json"), text).expect("the folder can be written");
    let link = folder.join("map").join("..data_tmp");
    symlink(format!("..{version}"), &link).expect("the folder can be written");
    fs::rename(link, folder.join("map").join("..data")).expect("the folder can be written");
}

#[test]
fn a_config_map_is_followed() {
    let (a, b) = (host("a"), host("b"));
    let gateway = Gateway::start_with(|folder| {
        swap(folder, "1", "a");
        symlink("..data/rds.json", folder.join("map/rds.json")).expect("the folder can be written");
        let files = [
            ("eds", none().endpoints("a", &[&a]).endpoints("b", &[&b])),
            ("cds", none().cluster("a").cluster("b")),
            ("lds", none().listener("rpc", "r")),
        ];
        for (name, resources) in files {
            let map = folder.join("map");
            let source = json!({"path_config_source": {
                "path": map.join("rds.json"), "watched_directory": {"path": map}}});
            let plain = json!({"path_config_source": {"path": folder.join("rds.json")}});
            let text = resources.text(folder, "1");
            let text = text.replace(&plain.to_string(), &source.to_string());
            fs::write(folder.join(format!("{name}.json")), text).expect("writable");
        }
        let file = folder.join("bootstrap.json");
        fs::write(&file, bootstrap(folder)).expect("writable");
        vec![OsString::from("-c"), file.into()]
    });
    let world = World { gateway };
    let mut caller = world.client("rpc", Wire::Dubbo);
    caller.until("a");
    for (version, name) in [("2", "b"), ("3", "a")] {
        swap(world.gateway.folder(), version, name);
        caller.until(name);
    }
}
