//! What a carrier beyond the process must do. Everything above this interface is written once.
//!
//! A message is CDR bytes *with* the four byte encapsulation header, and a type name.

#[cfg(feature = "dds")]
pub(crate) mod dds;
#[cfg(feature = "r2r")]
pub(crate) mod r2r;

use std::sync::Arc;
use std::time::Instant;

use crate::context::{Carrier, ContextOptions};
use crate::error::{CallError, TransportError};
use crate::qos::Qos;

/// A node, as other participants see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A topic, fully qualified and remapped.
#[derive(Clone, Debug)]
pub(crate) struct TopicEndpoint {
    pub(crate) name: String,
    pub(crate) type_name: &'static str,
    pub(crate) qos: Qos,
}

/// A service, fully qualified and remapped.
#[derive(Clone, Debug)]
pub(crate) struct ServiceEndpoint {
    pub(crate) name: String,
    /// `std_srvs/srv/Trigger`; of actions `pkg/action/Name_SendGoal`.
    pub(crate) type_name: &'static str,
}

/// Called on the carrier's thread with every sample (CDR with header).
pub(crate) type OnSample = Arc<dyn Fn(&[u8]) + Send + Sync>;
/// Called on the carrier's thread when a reader in another participant was matched.
pub(crate) type OnMatch = Arc<dyn Fn() + Send + Sync>;
/// Sends the response of one request.
pub(crate) type Reply = Box<dyn FnOnce(Vec<u8>) + Send>;
/// Called on the carrier's thread with every request (CDR with header).
pub(crate) type OnRequest = Arc<dyn Fn(&[u8], Reply) + Send + Sync>;
/// An endpoint that exists until it is dropped.
pub(crate) type Endpoint = Box<dyn Send + Sync>;

/// Publishes one topic to other participants.
pub(crate) trait RawWriter: Send + Sync {
    /// How many readers in *other* participants are matched now.
    fn matched_readers(&self) -> usize;
    /// Sends one message.
    fn write(&self, cdr: Vec<u8>) -> Result<(), TransportError>;
}

/// Calls one service of another participant.
pub(crate) trait RawClient: Send + Sync {
    /// Whether a server is matched now.
    fn server_ready(&self) -> bool;
    /// Sends a request and waits for its response, at most until `deadline`.
    fn call(&self, request: Vec<u8>, deadline: Instant) -> Result<Vec<u8>, CallError>;
}

/// A carrier beyond the process.
pub(crate) trait Link: Send + Sync {
    /// Makes a node visible.
    fn add_node(&self, node: &NodeId) -> Result<(), TransportError>;
    /// Takes it away again.
    fn remove_node(&self, node: &NodeId);
    /// Makes a writer of `node`.
    fn writer(&self, node: &NodeId, topic: &TopicEndpoint, on_match: OnMatch) -> Result<Arc<dyn RawWriter>, TransportError>;
    /// Makes a reader of `node`.
    fn reader(&self, node: &NodeId, topic: &TopicEndpoint, on_sample: OnSample) -> Result<Endpoint, TransportError>;
    /// Whether readers can leave out what this process itself has written. Readers of such a carrier do.
    fn leaves_own_out(&self) -> bool;
    /// Makes a service server of `node`.
    fn server(&self, node: &NodeId, service: &ServiceEndpoint, on_request: OnRequest) -> Result<Endpoint, TransportError>;
    /// Makes a service client of `node`.
    fn client(&self, node: &NodeId, service: &ServiceEndpoint) -> Result<Arc<dyn RawClient>, TransportError>;
    /// Stops threads and leaves the graph; the link is not used afterwards.
    fn shutdown(&self);
}

/// Opens the link that the options ask for; `None` in process.
pub(crate) fn open(options: &ContextOptions) -> Result<Option<Arc<dyn Link>>, TransportError> {
    match options.carrier {
        Carrier::InProcess => Ok(None),
        #[cfg(feature = "dds")]
        Carrier::Dds => Ok(Some(Arc::new(dds::DdsLink::open(options)?))),
        #[cfg(not(feature = "dds"))]
        Carrier::Dds => Err(absent("dds")),
        #[cfg(feature = "r2r")]
        Carrier::R2r => Ok(Some(Arc::new(r2r::R2rLink::open(options)?))),
        #[cfg(not(feature = "r2r"))]
        Carrier::R2r => Err(absent("r2r")),
    }
}

#[cfg(not(all(feature = "dds", feature = "r2r")))]
fn absent(carrier: &'static str) -> TransportError {
    TransportError::NotCarried { carrier, reason: format!("not part of this build; build with `--features transport/{carrier}`") }
}
