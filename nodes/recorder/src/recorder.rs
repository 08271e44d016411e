//! The node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bag::{BagWriter, Compression, TopicSpec, WriterOptions};
use node_kit::{Component, NodeError, Ports, Shared, Worker};
use transport::Subscription;

use crate::params::RecorderParams;
use crate::queue::Queue;
use crate::topics;
use crate::writing::Writing;

/// Records the cell's topics from activation to deactivation, one bag each time.
pub struct Recorder {
    ports: Ports,
    params: Shared<RecorderParams>,
    queue: Queue,
    topics: Vec<(String, TopicSpec<'static>)>,
    worker: Option<Worker>,
    /// Bags made so far: a second activation must not write over the first bag.
    bags: u32,
    /// The folder of the newest bag.
    dir: PathBuf,
    _subscriptions: Vec<Subscription>,
}

impl Recorder {
    /// The folder of the newest bag; empty before the first activation.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn next_dir(&self, output: &str) -> PathBuf {
        let base = match output {
            "" => format!("recording_{}", self.ports.node.clock().now_ns() / 1_000_000_000),
            given => given.trim_end_matches('/').to_string(),
        };
        PathBuf::from(if self.bags == 0 { base } else { format!("{base}_{}", self.bags) })
    }
}

impl Component for Recorder {
    const NAME: &'static str = "recorder";
    type Params = RecorderParams;

    fn configure(ports: &Ports, params: Shared<RecorderParams>) -> Result<Self, NodeError> {
        let wanted = {
            let now = params.get();
            custom_data(&now.metadata)?;
            topics::chosen(&now.cameras, &now.topics)?
        };
        let limit_bytes = (params.get().max_queue_mib as usize) << 20;
        let queue = Queue::new(wanted.len(), limit_bytes, ports.mode, ports.node.context().activity());
        let (mut topics, mut subscriptions) = (Vec::new(), Vec::new());
        for (index, wanted) in wanted.iter().enumerate() {
            let push = queue.clone();
            let made = topics::subscribe(&ports.node, wanted, index, move |entry| push.push(entry))?;
            let (spec, subscription) = made.ok_or_else(|| NodeError::msg(format!("type {} cannot be recorded", wanted.type_name)))?;
            topics.push((ports.node.resolve(&wanted.topic)?, spec));
            subscriptions.push(subscription);
        }
        let (dropped, waiting) = (queue.clone(), queue.clone());
        ports.diagnostics.probe("dropped", move || dropped.dropped_in_all().to_string());
        ports.diagnostics.probe("waiting_bytes", move || waiting.bytes().to_string());
        Ok(Self { ports: ports.clone(), params, queue, topics, worker: None, bags: 0, dir: PathBuf::new(), _subscriptions: subscriptions })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let params = self.params.get();
        let dir = self.next_dir(&params.output);
        let max_file_bytes = (params.max_file_mib > 0).then_some(u64::from(params.max_file_mib) << 20);
        let options = WriterOptions {
            compression: if params.compression == "none" { Compression::None } else { Compression::Zstd },
            max_file_bytes,
            custom_data: custom_data(&params.metadata)?,
            ..WriterOptions::default()
        };
        let sentence = "recording cannot begin";
        let mut writer = BagWriter::create(&dir, options).map_err(|e| NodeError::because(sentence, e))?;
        for (name, spec) in &self.topics {
            writer.declare(&TopicSpec { name, ..*spec }).map_err(|e| NodeError::because(sentence, e))?;
        }
        let writing = Writing {
            ports: self.ports.clone(),
            queue: self.queue.clone(),
            topics: self.topics.clone(),
            flush_period: Duration::from_secs_f64(params.flush_period_s),
            writer: Some(writer),
            timeless: Vec::new(),
        };
        self.queue.set_open(true);
        self.worker = Some(self.ports.spawn("recorder", move |stop| writing.run(stop))?);
        self.ports.diagnostics.ok(format!("recording to {}", dir.display()));
        self.bags += 1;
        self.dir = dir;
        Ok(())
    }

    fn deactivate(&mut self) {
        // Closed first: what waits is written, what comes after is not part of this bag.
        self.queue.set_open(false);
        self.worker = None;
    }
}

/// `key=value` entries as a map.
fn custom_data(entries: &[String]) -> Result<BTreeMap<String, String>, NodeError> {
    let split = |entry: &String| {
        let (key, value) = entry.split_once('=').ok_or_else(|| NodeError::msg(format!("metadata entry `{entry}` is not `key=value`")))?;
        Ok((key.to_string(), value.to_string()))
    };
    entries.iter().map(split).collect()
}
