//! Finds the folder of the crate `envoy-types` in whatever place cargo took it from: the registry,
//! a vendored folder, a git checkout.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder that holds the manifest of the `envoy-types` that the workspace is locked to.
///
/// # Errors
/// When there is no `Cargo.lock` above this crate, or cargo cannot name the folder.
pub(crate) fn envoy_types() -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os("ENVOY_TYPES_DIR") {
        return Ok(folder.into());
    }
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let lock = here
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.exists())
        .ok_or("no Cargo.lock above this crate")?;
    println!("cargo::rerun-if-changed={}", lock.display());
    ask_cargo(&here, &lock)
}

/// Asks cargo about a package that depends on nothing but `envoy-types`, at the locked version.
///
/// Not about the workspace itself: `cargo metadata` wants every dependency of every member on
/// the disk, also those of other systems and of tests, and a fresh machine has only what the
/// build at hand needs. `--offline` keeps the build script away from the network; cargo has
/// fetched the crate before it runs us. The working directory is this crate's, so that a
/// `.cargo/config.toml` that replaces the registry (vendoring) is found.
fn ask_cargo(here: &Path, lock: &Path) -> Result<PathBuf, String> {
    let text = fs::read_to_string(lock).map_err(|e| format!("{}: {e}", lock.display()))?;
    let version = locked_version(&text).ok_or("Cargo.lock does not name envoy-types")?;
    let package = PathBuf::from(variable("OUT_DIR")?).join("locate");
    let manifest = package.join("Cargo.toml");
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    fs::create_dir_all(package.join("src")).map_err(|e| format!("{}: {e}", package.display()))?;
    write(&package.join("src/lib.rs"), "")?;
    write(&package.join("Cargo.lock"), &text)?;
    write(
        &manifest,
        &format!(
            "[package]\nname = \"locate\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\nenvoy-types = \"={version}\"\n[workspace]\n"
        ),
    )?;
    let output = Command::new(variable("CARGO")?)
        .args([
            "metadata",
            "--offline",
            "--format-version",
            "1",
            "--filter-platform",
        ])
        .arg(variable("HOST")?)
        .arg("--manifest-path")
        .arg(&manifest)
        .current_dir(here)
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "envoy-types")
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(Path::to_owned)
        .ok_or_else(|| "cargo metadata does not list it".to_owned())
}

/// Reads the version from a lock file, whose form cargo keeps: the version follows the name.
fn locked_version(lock: &str) -> Option<&str> {
    let package = lock.split_once("name = \"envoy-types\"")?.1;
    package.split_once("version = \"")?.1.split('"').next()
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
