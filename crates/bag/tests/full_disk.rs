//! A full disk is an error value, and what was flushed before it can be read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::process::Command;

use bag::{Bag, BagError, BagWriter, Compression, QosProfile, WriterOptions};
use common::{FRAME_NS, START_NS, color, read_all};

/// Set for the run of this binary inside a small file system of its own.
const SMALL_DISK: &str = "INTACT_TEST_SMALL_DISK";

fn fill(disk: &Path) {
    let path = disk.join("bag");
    let mut writer =
        BagWriter::create(&path, WriterOptions { compression: Compression::None, chunk_bytes: 50_000, ..WriterOptions::default() })
            .unwrap();
    let mut write = |n: i64| writer.write("/camera/color/image_raw", QosProfile::SENSOR, START_NS + n * FRAME_NS, &color(n as u8, 0));
    let error = (0..1000).find_map(|n| write(n).err()).expect("a disk of 1 MiB takes 9 MB");
    assert!(matches!(error, BagError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(write(1000).is_err(), "it stays failed");
    drop(writer);
    let (messages, errors) = read_all(&Bag::open(&path).unwrap());
    assert!(messages.len() > 50, "{} messages", messages.len());
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("cut off"), "{errors:?}");
}

#[test]
fn a_full_disk_is_an_error_value() {
    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        return fill(&PathBuf::from(disk));
    }
    let dir = tempfile::TempDir::new().unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{0}' && exec \"$@\"", dir.path().display());
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let possible = Command::new("unshare").args(unshare).args([mount.as_str(), "sh", "true"]).output();
    if !possible.is_ok_and(|o| o.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no private mount namespace here for a disk that fills up (unshare --user --mount)");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let inner = [this.to_str().unwrap(), "--exact", "a_full_disk_is_an_error_value", "--nocapture"];
    let out = Command::new("unshare").args(unshare).args([mount.as_str(), "sh"]).args(inner).env(SMALL_DISK, dir.path()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}");
}
