//! The ledger is append-only, survives kill -9, and says so when it cannot write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use disposition::{Disposition, Ledger, LedgerEntry, LedgerError, LedgerOutcome};

/// Of the row of `a`, as version 0.1.0 wrote it before rows named a comparing network.
const EARLIER_HASH: &str = "476f0d1d4b9938a62730ad72298ec3aba33d825f5e1c3d93e7aba1365e14cc65";

fn entry(item_id: &str) -> LedgerEntry {
    LedgerEntry {
        run_id: "run".into(),
        item_id: item_id.into(),
        stamp_ns: 12,
        decided_unix_ns: 34,
        disposition: Disposition::Sort,
        lane: "sort_a".into(),
        reasons: vec!["OK".into(), "NO_REFERENCE".into()],
        damage_score: Some(0.123_456_79),
        damage_threshold: Some(0.5),
        anomaly_score: None,
        anomaly_threshold: Some(0.5),
        product: "cup".into(),
        model: "classical".into(),
        gallery_version: String::new(),
        deadline_expired: false,
        damage_rejudged: None,
        comparison_model: String::new(),
    }
}

/// What earlier versions wrote keeps its chain, and a row that names a comparing network follows it.
#[test]
fn a_file_of_an_earlier_version_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    Ledger::open(&path).unwrap().append(&entry("a")).unwrap();
    let earlier = rusqlite::Connection::open(&path).unwrap();
    earlier
        .execute_batch("ALTER TABLE decisions DROP COLUMN damage_rejudged; ALTER TABLE decisions DROP COLUMN comparison_model;")
        .unwrap();
    let hash: String = earlier.query_row("SELECT hash FROM decisions", [], |row| row.get(0)).unwrap();
    assert_eq!(hash, EARLIER_HASH);
    drop(earlier);
    let mut ledger = Ledger::open(&path).unwrap();
    let rejudged = LedgerEntry { damage_rejudged: Some(0.25), comparison_model: "comparison.onnx@1".into(), ..entry("b") };
    ledger.append(&rejudged).unwrap();
    assert_eq!(ledger.decisions("run").unwrap(), [entry("a"), rejudged]);
    assert_eq!(ledger.verify().unwrap(), 2);
    let intruder = rusqlite::Connection::open(&path).unwrap();
    intruder.execute_batch("DROP TRIGGER decisions_refuse_UPDATE").unwrap();
    intruder.execute("UPDATE decisions SET damage_rejudged = 0.75 WHERE item_id = 'b'", []).unwrap();
    assert!(matches!(ledger.verify(), Err(LedgerError::Altered { sequence: 2 })), "what was judged again is hashed, too");
}

#[test]
fn what_is_no_ledger_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (picture, other, empty) = (dir.path().join("item.png"), dir.path().join("gallery.sqlite"), dir.path().join("empty.db"));
    std::fs::write(&picture, [7; 4096]).unwrap();
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE reference (product TEXT)").unwrap();
    std::fs::write(&empty, []).unwrap();
    for (path, what) in [(&picture, "not a database"), (&other, "of something else")] {
        let before = std::fs::read(path).unwrap();
        let error = Ledger::open(path).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(&path.display().to_string()), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), before, "{error}");
    }
    Ledger::open(&empty).unwrap().append(&entry("a")).unwrap();
    // A file of an earlier version says nothing of itself, and is one.
    rusqlite::Connection::open(&empty).unwrap().execute_batch("PRAGMA application_id = 0").unwrap();
    assert_eq!(Ledger::open(&empty).unwrap().verify().unwrap(), 1);
}

#[test]
fn keeps_what_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/on/demand/ledger.db");
    let outcome = LedgerOutcome {
        run_id: "run".into(),
        item_id: "a".into(),
        result: "DIVERTED".into(),
        lane: "sort_a".into(),
        message: String::new(),
        duration_s: 2.5,
        done_unix_ns: 56,
    };
    {
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.append(&entry("a")).unwrap();
        ledger.append(&entry("b")).unwrap();
        ledger.append_outcome(&outcome).unwrap();
        ledger.append_duplicate("run", "a", 78).unwrap();
    }
    let ledger = Ledger::open(&path).unwrap(); // a restarted process
    assert_eq!(ledger.decisions("run").unwrap(), [entry("a"), entry("b")]);
    assert_eq!(ledger.outcomes("run").unwrap(), [outcome]);
    assert_eq!(ledger.duplicates("run").unwrap(), ["a"]);
    assert!(ledger.decisions("another run").unwrap().is_empty());
    assert_eq!(ledger.verify().unwrap(), 2);
}

#[test]
fn one_id_has_one_row_in_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    ledger.append(&entry("a")).unwrap();
    assert!(matches!(ledger.append(&entry("a")), Err(LedgerError::Duplicate { .. })));
    ledger.append(&LedgerEntry { run_id: "next".into(), ..entry("a") }).unwrap();
    assert_eq!(ledger.verify().unwrap(), 2);
}

#[test]
fn refuses_changes_and_finds_those_made_behind_its_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut ledger = Ledger::open(&path).unwrap();
    for id in ["a", "b", "c"] {
        ledger.append(&entry(id)).unwrap();
    }
    let intruder = rusqlite::Connection::open(&path).unwrap();
    for change in ["UPDATE decisions SET lane = 'x'", "DELETE FROM decisions", "DELETE FROM outcomes WHERE 0 = 0"] {
        let refused = intruder.execute(change, []);
        assert!(refused.is_err() || change.contains("outcomes"), "{change}"); // outcomes is empty: no row, no trigger
    }
    assert_eq!(ledger.verify().unwrap(), 3);
    intruder.execute_batch("DROP TRIGGER decisions_refuse_UPDATE").unwrap();
    intruder.execute("UPDATE decisions SET disposition = 'SIDELINE' WHERE item_id = 'b'", []).unwrap();
    assert!(matches!(ledger.verify(), Err(LedgerError::Altered { sequence: 2 })));
}

#[test]
fn says_so_when_it_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Ledger::open(dir.path()).is_err(), "a folder is no ledger");
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be read as one: ".repeat(40)).unwrap();
    assert!(Ledger::open(&text).is_err());
    assert!(Ledger::open(&text.join("below/a/file.db")).is_err());
}

/// Runs one `#[ignore]`d test of this binary in another process.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test, "--nocapture"]).env("LEDGER", path).stdout(Stdio::piped());
    command
}

fn ledger_of_parent() -> PathBuf {
    PathBuf::from(std::env::var("LEDGER").expect("run by its parent test"))
}

#[test]
#[ignore = "child of survives_kill_9"]
fn writer_child() {
    let mut ledger = Ledger::open(&ledger_of_parent()).unwrap();
    for n in 0.. {
        ledger.append(&entry(&format!("item {n}"))).unwrap();
        println!("written {n}");
    }
}

#[test]
fn survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut writer = child("writer_child", &path).spawn().unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).filter(|line| line.contains("written ")).take(40).count();
    writer.kill().unwrap(); // SIGKILL
    writer.wait().unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let kept = ledger.decisions("run").unwrap();
    assert_eq!(told, 40);
    assert!(kept.len() >= told, "{told} rows were acknowledged, {} are there", kept.len());
    assert_eq!(ledger.verify().unwrap(), kept.len() as u64);
}

#[test]
#[ignore = "child of a_full_disk_is_an_error_not_a_loss, inside its own mount namespace"]
fn full_disk_child() {
    let path = ledger_of_parent();
    let mut ledger = Ledger::open(&path).unwrap();
    let mut written = 0;
    let error = loop {
        match ledger.append(&entry(&format!("item {written}"))) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100_000, "the disk never filled up");
    };
    assert!(matches!(error, LedgerError::Sqlite(_)), "{error}");
    assert!(ledger.append(&entry("after")).is_err());
    drop(ledger);
    let kept = Ledger::open(&path).and_then(|l| Ok((l.decisions("run")?.len(), l.verify()?)));
    // With no byte left, SQLite may not even be able to open its log anew; what it reads must be whole.
    if let Ok((kept, verified)) = kept {
        assert_eq!((kept, verified), (written, written as u64));
    }
    println!("full after {written} rows: {error}");
}

#[test]
fn a_full_disk_is_an_error_not_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let inner = child("full_disk_child", &dir.path().join("ledger.db"));
    let mount = format!("mount -t tmpfs -o size=512k tmpfs '{}' && exec \"$0\" \"$@\"", dir.path().display());
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &mount])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("LEDGER", dir.path().join("ledger.db"))
        .output();
    let (ran, text) = match &output {
        Ok(o) => (o.status.success(), format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr))),
        Err(error) => (false, error.to_string()),
    };
    if !text.contains("full_disk_child") {
        let _ = writeln!(std::io::stderr(), "SKIPPED: a_full_disk_is_an_error_not_a_loss needs the right to mount a tmpfs (root): {text}");
        return;
    }
    assert!(ran && text.contains("full after"), "{text}");
}
