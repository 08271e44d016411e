//! Live viewers: the page and the data that are served here, and a viewer elsewhere that is connected to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rerun::external::re_grpc_server;
use scene::{Level, Moment, Options, Scene, Serve, Sinks};

/// A deadline that only a hang exceeds.
const PATIENCE: Duration = Duration::from_secs(60);

fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn at(item: i64) -> Moment {
    Moment { stamp_ns: 1_700_000_000_000_000_000, item: Some(item) }
}

/// Status line, headers and body of a page.
fn fetch(port: u16, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of the headers");
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}

/// Addresses that something listens on at a port, as the kernel writes them (hexadecimal, least octet first).
fn listening(port: u16) -> Vec<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|row| {
        let mut columns = row.split_whitespace().skip(1);
        let (local, state) = (columns.next()?, columns.nth(1)?);
        let (address, hex_port) = local.split_once(':')?;
        const LISTEN: &str = "0A";
        (state == LISTEN && u16::from_str_radix(hex_port, 16) == Ok(port)).then(|| address.to_owned())
    });
    rows.collect()
}

#[test]
fn the_page_and_its_data_are_served_on_loopback_alone() {
    let [grpc_port, web_port] = free_ports();
    let sinks = Sinks { serve: Some(Serve { grpc_port, web_port, memory_limit_bytes: 64 << 20 }), ..Sinks::default() };
    let scene = Scene::open(&sinks, Options::default()).unwrap();
    scene.text(at(1), Level::Info, "robot", "an item is diverted").unwrap();
    let url = scene.web_url().unwrap();
    assert!(url.contains(&web_port.to_string()) && url.contains(&format!("127.0.0.1:{grpc_port}/proxy")), "{url}");

    let (head, page) = fetch(web_port, "/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let page = String::from_utf8_lossy(&page).into_owned();
    assert!(page.contains("<html") && page.contains("re_viewer"), "{page}");
    // Rerun's page would like a font from elsewhere, and does without.
    let loads = |tag: &str| tag.starts_with("script") || tag.starts_with("link");
    let loads_from_elsewhere = |tag: &str| loads(tag) && tag.contains("=\"http") && !tag.contains("=\"https://fonts.");
    let tags = page.split('<').filter_map(|rest| rest.split('>').next());
    assert_eq!(tags.filter(|tag| loads_from_elsewhere(tag)).collect::<Vec<_>>(), Vec::<&str>::new(), "the page needs the internet");
    let (head, wasm) = fetch(web_port, "/re_viewer_bg.wasm");
    assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("application/wasm"), "{head}");
    // The body comes as it is or in chunks, whose first size stands before it.
    let begin = &wasm[..wasm.len().min(64)];
    assert!(begin.windows(4).any(|w| w == b"\0asm") && wasm.len() > 1 << 20, "{} octets: {begin:02x?}", wasm.len());
    let (head, _) = fetch(web_port, "/nothing");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");

    let deadline = Instant::now() + PATIENCE;
    while listening(grpc_port).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10)); // its server starts on a thread of its own
    }
    for port in [web_port, grpc_port] {
        assert_eq!(listening(port), ["0100007F"], "port {port} on 127.0.0.1 and nowhere else");
    }
}

#[test]
fn a_viewer_that_runs_elsewhere_receives_what_is_shown() {
    let [port, _] = free_ports();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (stop, shutdown) = re_grpc_server::shutdown::shutdown();
    let (receiver, _handle) = runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        re_grpc_server::spawn_with_recv(address, rerun::ServerOptions::default(), shutdown)
    });
    let sinks = Sinks { connect_url: Some(format!("rerun+http://127.0.0.1:{port}/proxy")), ..Sinks::default() };
    let scene = Scene::open(&sinks, Options::default()).unwrap();
    scene.text(at(1), Level::Warn, "robot", "an item fell").unwrap();
    scene.flush(PATIENCE).unwrap();

    let mut seen = String::new();
    let deadline = Instant::now() + PATIENCE;
    while !(seen.contains("/log/robot") && seen.contains("an item fell")) {
        assert!(Instant::now() < deadline, "the viewer received: {seen}");
        if let Ok(message) = receiver.recv_timeout(Duration::from_millis(200)) {
            seen += &format!("{:?}\n", message.into_data().map(|data| format!("{data:?}")));
        }
    }
    stop.stop();
}
