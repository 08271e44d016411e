//! Where a scene is shown. Everything that listens does so on loopback only.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};

use rerun::grpc_server::GrpcServerSink;
use rerun::sink::{FileSink, GrpcSink, LogSink};
use rerun::web_viewer::WebViewerConfig;

use crate::error::SceneError;

const LOOPBACK: &str = "127.0.0.1";

/// Outputs of a scene; at least one must be set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sinks {
    /// A `.rrd` recording; its folder is made.
    pub rrd: Option<PathBuf>,
    /// A running Rerun viewer, `rerun+http://host:port/proxy`.
    pub connect_url: Option<String>,
    /// Servers of our own.
    pub serve: Option<Serve>,
}

/// A gRPC server for native viewers and a web viewer whose files are part of this program (no internet), both on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serve {
    /// Port of the data.
    pub grpc_port: u16,
    /// Port of the web page.
    pub web_port: u16,
    /// History kept for viewers that connect late, bytes; the oldest goes first.
    pub memory_limit_bytes: u64,
}

impl Default for Serve {
    fn default() -> Self {
        Self { grpc_port: rerun::DEFAULT_SERVER_PORT, web_port: 9090, memory_limit_bytes: 512 << 20 }
    }
}

/// Keeps the web page served.
pub(crate) struct WebPage {
    pub(crate) url: String,
    _server: Box<dyn std::any::Any + Send>,
}

/// The sinks of Rerun, and the web page when there is one.
type Opened = (Vec<Box<dyn LogSink>>, Option<WebPage>);

/// Opens what is asked for.
pub(crate) fn open(sinks: &Sinks) -> Result<Opened, SceneError> {
    let mut opened: Vec<Box<dyn LogSink>> = Vec::new();
    if let Some(path) = &sinks.rrd {
        opened.push(Box::new(open_file(path)?));
    }
    if let Some(url) = &sinks.connect_url {
        opened.push(Box::new(open_connection(url)?));
    }
    let mut page = None;
    if let Some(serve) = &sinks.serve {
        opened.push(Box::new(open_server(serve)?));
        page = Some(open_web_page(serve)?);
    }
    if opened.is_empty() { Err(SceneError::NoSink) } else { Ok((opened, page)) }
}

fn open_file(path: &Path) -> Result<FileSink, SceneError> {
    let wrap = |source: Box<dyn std::error::Error + Send + Sync>| SceneError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| wrap(e.into()))?;
    }
    FileSink::new(path).map_err(|e| wrap(e.into()))
}

fn open_connection(url: &str) -> Result<GrpcSink, SceneError> {
    let refuse = |reason: String| SceneError::Url { url: url.to_owned(), reason };
    match url.parse::<rerun::external::re_uri::RedapUri>() {
        Ok(rerun::external::re_uri::RedapUri::Proxy(uri)) => Ok(GrpcSink::new(uri)),
        Ok(_) => Err(refuse("it does not end with /proxy".to_owned())),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// Rerun's server only logs that its port is taken, so the port is tried first.
fn open_server(serve: &Serve) -> Result<GrpcServerSink, SceneError> {
    let wrap = |source: Box<dyn std::error::Error + Send + Sync>| SceneError::Port {
        port: serve.grpc_port,
        purpose: "data of the viewer",
        source,
    };
    drop(TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, serve.grpc_port)).map_err(|e| wrap(e.into()))?);
    let options = rerun::ServerOptions { memory_limit: rerun::MemoryLimit::from_bytes(serve.memory_limit_bytes), ..Default::default() };
    GrpcServerSink::new(LOOPBACK, serve.grpc_port, options).map_err(|e| wrap(e.into()))
}

fn open_web_page(serve: &Serve) -> Result<WebPage, SceneError> {
    let config = WebViewerConfig {
        bind_ip: LOOPBACK.to_owned(),
        web_port: serve.web_port.into(),
        open_browser: false,
        ..WebViewerConfig::default()
    };
    let server = config.host_web_viewer().map_err(|source| SceneError::Port {
        port: serve.web_port,
        purpose: "web viewer",
        source: source.into(),
    })?;
    let url = format!("{}?url=rerun%2Bhttp://{LOOPBACK}:{}/proxy", server.server_url(), serve.grpc_port);
    Ok(WebPage { url, _server: Box::new(server) })
}
