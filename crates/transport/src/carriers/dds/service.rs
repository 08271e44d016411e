//! Services: a request topic and a response topic, joined by sample identities ("enhanced" mapping of DDS-RPC,
//! which rmw_fastrtps speaks; rmw_cyclonedds puts a header into the payload instead and cannot be called).

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustdds::{SampleIdentity, SequenceNumber, Timestamp, WriteOptionsBuilder};

use super::endpoints::{DdsReader, DdsWriter, Sample};
use crate::carriers::{OnRequest, RawClient, Reply};
use crate::error::CallError;
use crate::sync::lock;

/// How long a response waits for the caller's reader to be matched: a fast server can know the request before
/// discovery has brought the reader of its answer.
const READER_WAIT: Duration = Duration::from_secs(1);

/// A server's two endpoints.
pub(super) struct DdsServer {
    _requests: DdsReader,
    _responses: Arc<DdsWriter>,
}

impl DdsServer {
    pub(super) fn new(requests: DdsReader, responses: Arc<DdsWriter>) -> Self {
        Self { _requests: requests, _responses: responses }
    }
}

/// What a server does with a sample of its request topic.
pub(super) fn on_request(responses: &Arc<DdsWriter>, handler: OnRequest) -> impl Fn(Sample) + Send + use<> {
    let responses = Arc::downgrade(responses);
    move |sample| {
        let Some(identity) = sample.identity else { return };
        let caller = caller_identity(identity, sample.related);
        let responses = responses.clone();
        let reply: Reply = Box::new(move |cdr| {
            let Some(responses) = responses.upgrade() else { return };
            wait_for_reader(&responses, identity);
            let options = WriteOptionsBuilder::new().source_timestamp(Timestamp::now()).related_sample_identity(caller).build();
            if let Err(error) = responses.write_with(cdr, options) {
                tracing::warn!(%error, "a response could not be sent");
            }
        });
        handler(sample.cdr.as_slice(), reply);
    }
}

/// The id that the response names. rmw_fastrtps tells the GUID of its response reader in the request and
/// leaves the number open: then it is the request's own.
fn caller_identity(request: SampleIdentity, related: Option<SampleIdentity>) -> SampleIdentity {
    match related {
        None => request,
        Some(related) if related.sequence_number == SequenceNumber::UNKNOWN => {
            SampleIdentity { sequence_number: request.sequence_number, ..related }
        }
        Some(related) => related,
    }
}

fn wait_for_reader(responses: &DdsWriter, request: SampleIdentity) {
    let deadline = Instant::now() + READER_WAIT;
    while !responses.matches().reaches_participant_of(request.writer_guid) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Calls that wait for their response.
#[derive(Default)]
pub(super) struct Pending {
    calls: Mutex<HashMap<SequenceNumber, SyncSender<Vec<u8>>>>,
}

impl Pending {
    /// What a client does with a sample of its response topic, on which other clients' responses come too.
    pub(super) fn hear(&self, own_writer: rustdds::GUID, sample: Sample) {
        let Some(related) = sample.related.filter(|related| related.writer_guid == own_writer) else { return };
        let call = lock(&self.calls).remove(&related.sequence_number);
        if let Some(call) = call {
            // The caller may just have given up.
            drop(call.try_send(sample.cdr.into_vec()));
        }
    }
}

/// A client's two endpoints.
pub(super) struct DdsClient {
    pub(super) service: String,
    pub(super) requests: DdsWriter,
    pub(super) responses: DdsReader,
    pub(super) pending: Arc<Pending>,
}

impl RawClient for DdsClient {
    fn server_ready(&self) -> bool {
        self.requests.matches().count() > 0 && self.responses.matches().count() > 0
    }

    fn call(&self, request: Vec<u8>, deadline: Instant) -> Result<Vec<u8>, CallError> {
        let (send, receive) = sync_channel(1);
        let started = Instant::now();
        let number = {
            // Locked until the call is noted: the response may come at once.
            let mut calls = lock(&self.pending.calls);
            let options = WriteOptionsBuilder::new().source_timestamp(Timestamp::now()).build();
            let number = self.requests.write_with(request, options)?.sequence_number;
            calls.insert(number, send);
            number
        };
        receive.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|error| {
            lock(&self.pending.calls).remove(&number);
            let service = self.service.clone();
            match error {
                RecvTimeoutError::Timeout => CallError::Timeout { service, timeout_s: (deadline - started).as_secs_f64() },
                RecvTimeoutError::Disconnected => CallError::ServerGone { service },
            }
        })
    }
}
