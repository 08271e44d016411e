//! Bags as streams of messages in log-time order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ros_interfaces::Message;

use crate::BagError;
use crate::locate::{is_message_compressed, locate, unpack};
use crate::metadata::Metadata;
use crate::qos::QosProfile;
use crate::storage::{MAX_PART_BYTES, PartReader, Place, StorageFile, decompress};

/// One recorded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BagMessage {
    /// Absolute name.
    pub topic: Arc<str>,
    /// For example `sensor_msgs/msg/Image`.
    pub type_name: Arc<str>,
    /// When the recorder took it, nanoseconds of ROS time.
    pub log_time_ns: i64,
    /// When it was sent, as far as the bag knows.
    pub publish_time_ns: i64,
    /// CDR with its encapsulation header.
    pub data: Vec<u8>,
}

impl BagMessage {
    /// Decodes as `M`.
    ///
    /// # Errors
    /// When the recorded type is another one, or the bytes do not decode.
    pub fn decode<M: Message>(&self) -> Result<M, BagError> {
        let refuse = |reason: String| BagError::Decode { topic: self.topic.to_string(), type_name: M::TYPE_NAME.into(), reason };
        if &*self.type_name != M::TYPE_NAME {
            return Err(refuse(format!("it was recorded as {}", self.type_name)));
        }
        M::from_cdr(&self.data).map_err(|e| refuse(e.to_string()))
    }

    /// Stamp in the message's header, nanoseconds; `None` for types without one.
    pub fn stamp_ns(&self) -> Option<i64> {
        crate::header::peek(&self.type_name, &self.data).map(|(stamp_ns, _)| stamp_ns)
    }

    /// Frame in the message's header; `None` for types without one.
    pub fn frame_id(&self) -> Option<String> {
        crate::header::peek(&self.type_name, &self.data).map(|(_, frame)| frame)
    }
}

/// One topic of a bag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Absolute name.
    pub name: String,
    /// Type, for example `sensor_msgs/msg/Image`.
    pub type_name: String,
    /// Messages in all files.
    pub messages: u64,
    /// What its publishers offered.
    pub offered_qos: Vec<QosProfile>,
    /// `RIHS01_…`, empty when the bag does not say.
    pub type_hash: String,
    /// `ros2msg` text, empty when the bag has none.
    pub definition: String,
}

/// Which messages are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// From this log time on, nanoseconds.
    pub start_ns: Option<i64>,
    /// Up to this log time, which is not included.
    pub end_ns: Option<i64>,
    /// Only these topics; empty means all.
    pub topics: Vec<String>,
}

/// An open bag. Cheap to keep: the messages stay in the files.
#[derive(Debug)]
pub struct Bag {
    path: PathBuf,
    files: Arc<Vec<StorageFile>>,
    topics: Vec<TopicInfo>,
    metadata: Option<Metadata>,
    is_message_compressed: bool,
    bytes: u64,
    problems: Vec<(PathBuf, String)>,
    /// Decompressed copies of `.zstd` files live as long as the bag or a reader of it.
    unpacked: Option<Arc<tempfile::TempDir>>,
}

impl Bag {
    /// Opens a bag's folder (with or without `metadata.yaml`) or one file (`.mcap`, `.db3`, either with `.zstd`).
    ///
    /// Damage does not fail here as long as something can be read; [`Bag::problems`] and the end of [`Bag::messages`] tell.
    ///
    /// # Errors
    /// When there is nothing to read.
    pub fn open(path: &Path) -> Result<Self, BagError> {
        let (metadata, paths, mut problems) = locate(path)?;
        let mut unpacked = None;
        let (mut files, mut bytes) = (Vec::new(), 0);
        for file in paths {
            bytes += std::fs::metadata(&file).map_or(0, |m| m.len());
            let opened = unpack(&file, &mut unpacked).and_then(|f| StorageFile::open(&f));
            match opened {
                Ok(opened) => {
                    problems.extend(opened.damage().map(|d| (file.clone(), d.to_string())));
                    files.push(opened);
                }
                Err(e) => problems.push((file, format!("was left out: {e}"))),
            }
        }
        if files.is_empty() {
            let reason = problems.first().map_or("it has no .mcap or .db3 file".to_string(), |(_, what)| what.clone());
            return Err(BagError::not_a_bag(path, reason));
        }
        let is_message_compressed = match &metadata {
            Some(m) => is_message_compressed(path, m)?,
            None => false,
        };
        let topics = merge_topics(&files, metadata.as_ref());
        let path = path.to_path_buf();
        Ok(Self {
            path,
            files: Arc::new(files),
            topics,
            metadata,
            is_message_compressed,
            bytes,
            problems,
            unpacked: unpacked.map(Arc::new),
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Topics by name.
    pub fn topics(&self) -> &[TopicInfo] {
        &self.topics
    }

    /// Messages in all files.
    pub fn message_count(&self) -> u64 {
        self.topics.iter().map(|t| t.messages).sum()
    }

    /// First and last log time, nanoseconds; `None` for an empty bag.
    pub fn span_ns(&self) -> Option<(i64, i64)> {
        let parts = self.files.iter().flat_map(|f| f.parts());
        parts.map(|p| (p.start_ns, p.end_ns)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// `custom_data` of `metadata.yaml`.
    pub fn custom_data(&self) -> BTreeMap<String, String> {
        self.metadata.as_ref().and_then(|m| m.custom_data.clone()).unwrap_or_default()
    }

    /// `mcap` or `sqlite3`.
    pub fn format(&self) -> &'static str {
        self.files.first().map_or("", StorageFile::format)
    }

    /// Files read.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Bytes on disk, as stored.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is missing or damaged, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        self.problems.iter().map(|(path, what)| BagError::incomplete(path, what.clone()).to_string()).collect()
    }

    /// All messages in log-time order.
    pub fn messages(&self) -> Messages {
        self.messages_with(&ReadOptions::default())
    }

    /// The chosen messages in log-time order. Parts before `start_ns` are not touched, so that seeking is cheap.
    pub fn messages_with(&self, options: &ReadOptions) -> Messages {
        let (start_ns, end_ns) = (options.start_ns.unwrap_or(i64::MIN), options.end_ns.unwrap_or(i64::MAX));
        let mut parts: Vec<QueuedPart> = Vec::new();
        for (file, storage) in self.files.iter().enumerate() {
            let wanted = storage.parts().iter().filter(|p| p.end_ns >= start_ns && p.start_ns < end_ns);
            parts.extend(wanted.map(|p| QueuedPart { start_ns: p.start_ns, file, place: p.place }));
        }
        parts.sort_by_key(|p| p.start_ns);
        Messages {
            files: Arc::clone(&self.files),
            readers: self.files.iter().map(|_| None).collect(),
            parts: parts.into(),
            pending: BinaryHeap::new(),
            start_ns,
            end_ns,
            topics: options.topics.iter().map(|t| format!("/{}", t.trim_start_matches('/'))).collect(),
            is_message_compressed: self.is_message_compressed,
            errors: VecDeque::new(),
            last_words: self.problems.iter().map(|(path, what)| BagError::incomplete(path, what.clone())).collect(),
            _unpacked: self.unpacked.clone(),
        }
    }
}

/// One entry a name and type, over all files; the metadata adds hashes and topics that no file mentions.
fn merge_topics(files: &[StorageFile], metadata: Option<&Metadata>) -> Vec<TopicInfo> {
    let mut merged: BTreeMap<(String, String), TopicInfo> = BTreeMap::new();
    for topic in files.iter().flat_map(StorageFile::topics) {
        let key = (topic.name.to_string(), topic.type_name.to_string());
        let entry = merged.entry(key).or_insert_with(|| TopicInfo {
            name: topic.name.to_string(),
            type_name: topic.type_name.to_string(),
            messages: 0,
            offered_qos: topic.offered_qos.clone(),
            type_hash: topic.type_hash.clone(),
            definition: topic.definition.clone(),
        });
        entry.messages += topic.messages;
    }
    for count in metadata.iter().flat_map(|m| &m.topics_with_message_count) {
        let topic = &count.topic_metadata;
        let entry = merged.entry((topic.name.clone(), topic.type_name.clone())).or_insert_with(|| TopicInfo {
            name: topic.name.clone(),
            type_name: topic.type_name.clone(),
            messages: 0,
            offered_qos: topic.offered_qos_profiles.clone(),
            type_hash: String::new(),
            definition: String::new(),
        });
        if entry.type_hash.is_empty() {
            entry.type_hash.clone_from(&topic.type_description_hash);
        }
    }
    merged.into_values().collect()
}

struct QueuedPart {
    start_ns: i64,
    file: usize,
    place: Place,
}

/// A loaded message; the order is log time, then place: file, part, index in the part.
struct Pending {
    order: Reverse<(i64, usize, u64, usize)>,
    message: BagMessage,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Pending {}
impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// Messages of a bag in log-time order, one loaded part at a time.
///
/// An `Err` says what is damaged and does not end the stream: the messages that can be read go on. What was missing from
/// the start (a file that was cut off) is said once, at the end.
pub struct Messages {
    files: Arc<Vec<StorageFile>>,
    readers: Vec<Option<PartReader>>,
    parts: VecDeque<QueuedPart>,
    pending: BinaryHeap<Pending>,
    start_ns: i64,
    end_ns: i64,
    topics: Vec<String>,
    is_message_compressed: bool,
    errors: VecDeque<BagError>,
    last_words: VecDeque<BagError>,
    _unpacked: Option<Arc<tempfile::TempDir>>,
}

impl Iterator for Messages {
    type Item = Result<BagMessage, BagError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Some(Err(error));
            }
            // A part that begins no later than the next message may hold an earlier one.
            let next_ns = self.pending.peek().map_or(i64::MAX, |p| p.order.0.0);
            match self.parts.pop_front_if(|part| part.start_ns <= next_ns) {
                Some(part) => self.load(&part),
                None => {
                    return match self.pending.pop() {
                        Some(pending) => Some(self.deliver(pending.message)),
                        None => self.last_words.pop_front().map(Err),
                    };
                }
            }
        }
    }
}

impl Messages {
    fn load(&mut self, part: &QueuedPart) {
        let mut messages = Vec::new();
        if let Err(e) = self.read(part, &mut messages) {
            self.errors.push_back(e);
        }
        for (index, message) in messages.into_iter().enumerate() {
            let time_ns = message.log_time_ns;
            let is_wanted = (self.start_ns..self.end_ns).contains(&time_ns)
                && (self.topics.is_empty() || self.topics.iter().any(|t| **t == *message.topic));
            if is_wanted {
                self.pending.push(Pending { order: Reverse((time_ns, part.file, part.place.position(), index)), message });
            }
        }
    }

    fn read(&mut self, part: &QueuedPart, out: &mut Vec<BagMessage>) -> Result<(), BagError> {
        let (Some(slot), Some(file)) = (self.readers.get_mut(part.file), self.files.get(part.file)) else {
            return Ok(());
        };
        let reader = match slot {
            Some(reader) => reader,
            None => slot.insert(file.reader()?),
        };
        reader.load(part.place, out)
    }

    fn deliver(&self, mut message: BagMessage) -> Result<BagMessage, BagError> {
        if self.is_message_compressed {
            message.data =
                decompress("zstd", &message.data, message.data.len() * 4, MAX_PART_BYTES).map_err(|reason| BagError::Decode {
                    topic: message.topic.to_string(),
                    type_name: message.type_name.to_string(),
                    reason: format!("zstd: {reason}"),
                })?;
        }
        Ok(message)
    }
}
