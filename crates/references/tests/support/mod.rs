//! Galleries to test on: a SQLite file, and a database on a PostgreSQL server that the test starts itself.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use matching::Cutout;
use references::{GalleryUrl, NewReference, Origin, State, Store};
use vision::ColorImage;

/// A server of this test program's own.
pub struct Server {
    pub uri: String,
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _process: Child,
}

impl Server {
    /// `kill` or `start`; waits until it is done.
    pub fn tell(&self, word: &str) {
        let (write, read) = &mut *self.talk.lock().unwrap();
        writeln!(write, "{word}").unwrap();
        assert_eq!(read.next().expect("the peer answers").unwrap(), "done");
    }

    /// The address of an empty database.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("gallery_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.client("postgres").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.address(&name)
    }

    fn address(&self, database: &str) -> String {
        self.uri.replace("/postgres?", &format!("/{database}?"))
    }

    fn client(&self, database: &str) -> postgres::Client {
        postgres::Client::connect(&self.address(database), postgres::NoTls).unwrap()
    }
}

/// The server, started once; `None`, said aloud, where PyPI's pgserver is not installed.
pub fn server(test: &str) -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(start).as_ref();
    if server.is_none() {
        // Past the test harness's capture.
        let said = format!("SKIPPED on PostgreSQL: {test}: no pgserver among the Python peers; run `make setup`\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
    }
    server
}

fn start() -> Option<Server> {
    // Tests of several packages use this file.
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.find(|dir| dir.join("tests/peers/pg_server.py").is_file()).expect("a workspace");
    let python = std::env::var_os("INTACT_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    if !Command::new(&python).args(["-c", "import pgserver"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success()) {
        return None;
    }
    let mut command = Command::new(&python);
    command.arg(root.join("tests/peers/pg_server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("python starts");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let uri = lines.next().expect("the server starts").unwrap();
    Some(Server { uri, talk: Mutex::new((process.stdin.take().unwrap(), lines)), _process: process })
}

/// One empty gallery, on either database.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub url: GalleryUrl,
    /// As a user writes it.
    pub text: String,
}

impl Bench {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("sqlite:{}", dir.path().join("deep/gallery.sqlite").display());
        Self { dir, url: text.parse().unwrap(), text }
    }

    pub fn postgres(server: &Server) -> Self {
        let text = server.database();
        Self { dir: tempfile::tempdir().unwrap(), url: text.parse().unwrap(), text }
    }

    /// The same test on every database that is here.
    pub fn each(test: &str, run: impl Fn(&Self)) {
        run(&Self::sqlite());
        if let Some(server) = server(test) {
            run(&Self::postgres(server));
        }
    }

    pub fn open(&self) -> Store {
        Store::open(&self.url).unwrap()
    }

    /// Runs SQL past the store; what the database says against it.
    pub fn sql(&self, statement: &str) -> Result<(), String> {
        if self.url.is_server() {
            let mut client = postgres::Client::connect(&self.text, postgres::NoTls).unwrap();
            client.batch_execute("SET search_path TO intact_gallery, public").unwrap();
            return client.batch_execute(statement).map_err(|e| e.as_db_error().unwrap().message().to_owned());
        }
        rusqlite::Connection::open(self.url.path().unwrap()).unwrap().execute_batch(statement).map_err(|e| e.to_string())
    }
}

/// A picture that is another one for each seed.
pub fn new(product: &str, seed: u32) -> NewReference {
    let pixel = |i: u32| if (i % 48 / 7 + i / 48 / 5 + seed).is_multiple_of(3) { [20, seed as u8, 40] } else { [220, 190, 90] };
    let color = ColorImage::new(48, 40, (0..48 * 40).flat_map(pixel).collect()).unwrap();
    NewReference {
        product: product.into(),
        name: None,
        cutout: Cutout::masked(color, (0..48 * 40).map(|i| i % 48 > 3)).unwrap(),
        camera: "camera".into(),
        light: String::new(),
        provenance: format!("test {seed}"),
        version: 1,
        state: State::Active,
        origin: Origin::Enrolled,
        added_by: "tester".into(),
        added_ns: i64::from(seed),
    }
}

/// `product/name` of what is compared with.
pub fn names(store: &Store) -> Vec<String> {
    let (enrolled, bad) = store.enrolled(None, &matching::FeatureOptions::default()).unwrap();
    assert!(bad.is_empty());
    enrolled.iter().map(|e| format!("{}/{}", e.picture.product, e.picture.name)).collect()
}
