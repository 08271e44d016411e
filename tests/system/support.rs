//! What the system tests share: paths, the command line, skipping aloud.

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A built executable of the root package.
pub fn program(name: &str) -> PathBuf {
    let intact = PathBuf::from(env!("CARGO_BIN_EXE_intact"));
    intact.with_file_name(name)
}

/// `intact ARGS…`, on this machine only.
pub fn intact(args: &[&str]) -> Output {
    let output = Command::new(program("intact")).args(args).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF").output().expect("intact starts");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Like [`intact`], and it must end well.
pub fn intact_ok(args: &[&str]) -> String {
    let output = intact(args);
    assert!(output.status.success(), "intact {args:?} ended with {}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The JSON lines of a text.
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().filter(|l| !l.trim().is_empty()).map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
}

/// The Python with the peers of `tests/requirements.txt`, or `None`, said aloud.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("INTACT_PYTHON").map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    if python.exists() {
        return Some(python);
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: no Python peers at {}; run `make setup`", python.display());
    None
}

/// A folder of the real captures, or `None`, said aloud.
pub fn real_data(test: &str, folder: &str) -> Option<PathBuf> {
    let data = std::env::var_os("INTACT_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from).join(folder);
    if data.is_dir() {
        return Some(data);
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: no real captures at {}; set INTACT_DATA", data.display());
    None
}

/// Runs a peer script and gives its standard output; it must end well.
pub fn peer(python: &Path, script: &str, args: &[&str]) -> String {
    let output = Command::new(python).arg(root().join("tests/peers").join(script)).args(args).output().expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script} {args:?}: {}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}
