//! Bags as `ros2 bag record --storage mcap` writes them: a folder with `metadata.yaml` and MCAP files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcap::records::MessageHeader;
use ros_interfaces::Message;

use crate::counting_file::CountingFile;
use crate::metadata::{FileEntry, Metadata, Nanoseconds, SinceEpoch, TopicCount, TopicMetadata};
use crate::qos::{self, QosProfile};
use crate::{BagError, header};

/// How chunks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As they are.
    None,
    /// zstd at its fastest level.
    #[default]
    Zstd,
}

/// How a bag is written.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// How chunks are stored.
    pub compression: Compression,
    /// A chunk is closed when it holds more bytes than this. A chunk is what is lost at most when the power fails.
    pub chunk_bytes: u64,
    /// A new file is begun when the current one holds more bytes than this; `None`: one file.
    pub max_file_bytes: Option<u64>,
    /// Free entries of `metadata.yaml` (`custom_data`), for example the parameters of the run.
    pub custom_data: BTreeMap<String, String>,
    /// `ros_distro` of `metadata.yaml`: the distribution whose form the bag has.
    pub ros_distro: String,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            chunk_bytes: 2 << 20,
            max_file_bytes: None,
            custom_data: BTreeMap::new(),
            ros_distro: "jazzy".into(),
        }
    }
}

/// A topic as it stands in a bag.
#[derive(Debug, Clone, Copy)]
pub struct TopicSpec<'a> {
    /// Absolute name; a missing leading `/` is added.
    pub name: &'a str,
    /// For example `sensor_msgs/msg/Image`.
    pub type_name: &'a str,
    /// `ros2msg` text with dependencies.
    pub definition: &'a str,
    /// `RIHS01_…`.
    pub type_hash: &'a str,
    /// What the publisher offered.
    pub qos: QosProfile,
}

impl<'a> TopicSpec<'a> {
    /// A topic of a generated type.
    pub fn of<M: Message>(name: &'a str, qos: QosProfile) -> Self {
        Self { name, type_name: M::TYPE_NAME, definition: M::DEFINITION, type_hash: M::RIHS01, qos }
    }
}

/// What a finished bag holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Messages in all files.
    pub messages: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Names of the files inside the bag's folder.
    pub files: Vec<String>,
}

/// Writes one bag. Dropped without [`BagWriter::finish`] it leaves what was flushed.
pub struct BagWriter {
    dir: PathBuf,
    options: WriterOptions,
    /// `None` once writing has failed: nothing more is attempted.
    out: Option<mcap::Writer<CountingFile>>,
    bytes_in_file: Arc<AtomicU64>,
    bytes_in_earlier_files: u64,
    topics: Vec<TopicState>,
    files: Vec<FileState>,
}

struct TopicState {
    metadata: TopicMetadata,
    definition: String,
    messages: u64,
    sequence: u32,
    /// Channel in the current file; a new file needs a new one.
    channel: Option<u16>,
}

struct FileState {
    name: String,
    messages: u64,
    /// First and last log time, nanoseconds.
    span_ns: Option<(i64, i64)>,
}

impl BagWriter {
    /// Begins a bag in the new folder `dir`; its parent is made when it is missing.
    ///
    /// # Errors
    /// When something is at `dir` already, or it cannot be written.
    pub fn create(dir: &Path, options: WriterOptions) -> Result<Self, BagError> {
        if let Some(parent) = dir.parent() {
            std::fs::create_dir_all(parent).map_err(|e| BagError::write(parent, &e))?;
        }
        std::fs::create_dir(dir).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => BagError::Exists { path: dir.to_path_buf() },
            _ => BagError::write(dir, &e),
        })?;
        let mut writer = Self {
            dir: dir.to_path_buf(),
            options,
            out: None,
            bytes_in_file: Arc::default(),
            bytes_in_earlier_files: 0,
            topics: Vec::new(),
            files: Vec::new(),
        };
        writer.open_file()?;
        writer.metadata().write(&writer.dir)?;
        Ok(writer)
    }

    /// Where the bag lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes on disk so far, the open chunk not counted.
    pub fn bytes(&self) -> u64 {
        self.bytes_in_earlier_files + self.bytes_in_file.load(Ordering::Relaxed)
    }

    /// Messages so far.
    pub fn messages(&self) -> u64 {
        self.files.iter().map(|f| f.messages).sum()
    }

    /// Notes a topic down before its first message, so that `metadata.yaml` lists it even when it stays empty.
    ///
    /// # Errors
    /// When the topic is known with another type, or the file cannot be written.
    pub fn declare(&mut self, topic: &TopicSpec<'_>) -> Result<(), BagError> {
        let index = self.topic_index(topic)?;
        self.channel(index).map(|_| ())
    }

    /// Writes a message. `publish_time` is the stamp of its header when it has one, else the log time.
    ///
    /// # Errors
    /// When the topic is known with another type, the message does not encode, or the file cannot be written. After a
    /// failed write every further one fails alike.
    pub fn write<M: Message>(&mut self, topic: &str, qos: QosProfile, log_time_ns: i64, message: &M) -> Result<(), BagError> {
        let cdr = message.to_cdr().map_err(|e| BagError::Encode { topic: topic.to_string(), reason: e.to_string() })?;
        self.write_cdr(&TopicSpec::of::<M>(topic, qos), log_time_ns, &cdr)
    }

    /// Writes a message that is CDR bytes already.
    ///
    /// # Errors
    /// As [`BagWriter::write`].
    pub fn write_cdr(&mut self, topic: &TopicSpec<'_>, log_time_ns: i64, cdr: &[u8]) -> Result<(), BagError> {
        self.start_next_file_if_full()?;
        let index = self.topic_index(topic)?;
        let channel_id = self.channel(index)?;
        let publish_time_ns = header::peek(topic.type_name, cdr).map_or(log_time_ns, |(stamp_ns, _)| stamp_ns);
        let header = MessageHeader {
            channel_id,
            sequence: self.topics[index].sequence,
            log_time: u64::try_from(log_time_ns).unwrap_or(0),
            publish_time: u64::try_from(publish_time_ns).unwrap_or(0),
        };
        self.with_out(|out| out.write_to_known_channel(&header, cdr))?;
        let state = &mut self.topics[index];
        state.messages += 1;
        state.sequence = state.sequence.wrapping_add(1);
        if let Some(file) = self.files.last_mut() {
            file.messages += 1;
            let (first, last) = file.span_ns.unwrap_or((log_time_ns, log_time_ns));
            file.span_ns = Some((first.min(log_time_ns), last.max(log_time_ns)));
        }
        Ok(())
    }

    /// Closes the open chunk and brings `metadata.yaml` up to date: whatever happens next, all messages so far are kept.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn flush(&mut self) -> Result<(), BagError> {
        self.with_out(mcap::Writer::flush)?;
        self.metadata().write(&self.dir)
    }

    /// Adds an entry to `custom_data`; it reaches the disk with the next flush.
    pub fn set_custom_data(&mut self, key: &str, value: &str) {
        self.options.custom_data.insert(key.to_string(), value.to_string());
    }

    /// Ends the bag.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn finish(mut self) -> Result<Written, BagError> {
        self.close_file()?;
        self.metadata().write(&self.dir)?;
        Ok(Written { messages: self.messages(), bytes: self.bytes(), files: self.files.iter().map(|f| f.name.clone()).collect() })
    }

    fn open_file(&mut self) -> Result<(), BagError> {
        let bag_name = self.dir.file_name().map_or_else(|| "bag".into(), |n| n.to_string_lossy().into_owned());
        let name = format!("{bag_name}_{}.mcap", self.files.len());
        let path = self.dir.join(&name);
        let file = File::options().write(true).create_new(true).open(&path).map_err(|e| BagError::write(&path, &e))?;
        self.bytes_in_file = Arc::default();
        let sink = CountingFile { file, bytes: Arc::clone(&self.bytes_in_file) };
        let compression = match self.options.compression {
            Compression::None => None,
            Compression::Zstd => Some(mcap::Compression::Zstd),
        };
        // Without seeking a chunk is one write of a complete record: a killed process leaves no half chunk behind.
        let out = mcap::WriteOptions::new()
            .profile("ros2")
            .library(concat!("intact ", env!("CARGO_PKG_VERSION")))
            .compression(compression)
            .compression_level(1)
            .compression_threads(0)
            .chunk_size(Some(self.options.chunk_bytes))
            .disable_seeking(true)
            .create(sink)
            .map_err(|e| BagError::mcap_write(&path, &e))?;
        self.out = Some(out);
        self.files.push(FileState { name, messages: 0, span_ns: None });
        for topic in &mut self.topics {
            topic.channel = None;
        }
        let distro = BTreeMap::from([("ROS_DISTRO".to_string(), self.options.ros_distro.clone())]);
        self.with_out(|out| out.write_metadata(&mcap::records::Metadata { name: "rosbag2".into(), metadata: distro }))
    }

    /// Ends the current file with the summary and a copy of the metadata, as rosbag2 does.
    fn close_file(&mut self) -> Result<(), BagError> {
        let text = self.metadata().to_text().map_err(|e| BagError::Write { path: self.dir.clone(), reason: e.to_string() })?;
        let metadata = BTreeMap::from([("serialized_metadata".to_string(), text)]);
        self.with_out(|out| {
            out.write_metadata(&mcap::records::Metadata { name: "rosbag2".into(), metadata })?;
            out.finish().map(|_| ())
        })?;
        if let Some(out) = self.out.take() {
            let sink = out.into_inner();
            sink.file.sync_all().map_err(|e| BagError::write(&self.dir, &e))?;
        }
        self.bytes_in_earlier_files += self.bytes_in_file.swap(0, Ordering::Relaxed);
        Ok(())
    }

    fn start_next_file_if_full(&mut self) -> Result<(), BagError> {
        let is_full = self.options.max_file_bytes.is_some_and(|max| self.bytes_in_file.load(Ordering::Relaxed) >= max);
        if !is_full || self.out.is_none() {
            return Ok(());
        }
        self.close_file()?;
        self.open_file()
    }

    fn topic_index(&mut self, topic: &TopicSpec<'_>) -> Result<usize, BagError> {
        let is_same = |known: &str| known.strip_prefix('/').unwrap_or(known) == topic.name.strip_prefix('/').unwrap_or(topic.name);
        if let Some(index) = self.topics.iter().position(|t| is_same(&t.metadata.name)) {
            let known = &self.topics[index].metadata;
            if known.type_name == topic.type_name {
                return Ok(index);
            }
            return Err(BagError::TypeChanged {
                topic: known.name.clone(),
                known: known.type_name.clone(),
                offered: topic.type_name.to_string(),
            });
        }
        self.topics.push(TopicState {
            metadata: TopicMetadata {
                name: format!("/{}", topic.name.trim_start_matches('/')),
                type_name: topic.type_name.to_string(),
                serialization_format: "cdr".into(),
                offered_qos_profiles: vec![topic.qos],
                type_description_hash: topic.type_hash.to_string(),
            },
            definition: topic.definition.to_string(),
            messages: 0,
            sequence: 0,
            channel: None,
        });
        Ok(self.topics.len() - 1)
    }

    fn channel(&mut self, index: usize) -> Result<u16, BagError> {
        let state = &self.topics[index];
        if let Some(channel) = state.channel {
            return Ok(channel);
        }
        let topic = state.metadata.clone();
        let definition = state.definition.clone();
        // The same text as in metadata.yaml, or readers that compare the two take it for another topic.
        let qos = qos::to_channel_text(&topic.offered_qos_profiles)
            .map_err(|e| BagError::Write { path: self.dir.clone(), reason: e.to_string() })?;
        let metadata = BTreeMap::from([
            ("offered_qos_profiles".to_string(), qos),
            ("topic_type_hash".to_string(), topic.type_description_hash.clone()),
        ]);
        let channel = self.with_out(|out| {
            let schema = out.add_schema(&topic.type_name, "ros2msg", definition.as_bytes())?;
            out.add_channel(schema, &topic.name, "cdr", &metadata)
        })?;
        self.topics[index].channel = Some(channel);
        Ok(channel)
    }

    /// Runs `f` on the open file; after its first failure there is none any more.
    fn with_out<T>(&mut self, f: impl FnOnce(&mut mcap::Writer<CountingFile>) -> mcap::McapResult<T>) -> Result<T, BagError> {
        let Some(out) = self.out.as_mut() else {
            return Err(BagError::Write { path: self.dir.clone(), reason: "an earlier write failed, the bag ended there".into() });
        };
        f(out).map_err(|e| {
            let error = BagError::mcap_write(&self.dir, &e);
            self.out = None;
            error
        })
    }

    fn metadata(&self) -> Metadata {
        let spans = self.files.iter().filter_map(|f| f.span_ns);
        let (start_ns, end_ns) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0));
        let entry = |f: &FileState| {
            let (first, last) = f.span_ns.unwrap_or((start_ns, start_ns));
            FileEntry {
                path: f.name.clone(),
                starting_time: SinceEpoch { nanoseconds_since_epoch: first },
                duration: Nanoseconds { nanoseconds: last - first },
                message_count: f.messages,
            }
        };
        Metadata {
            version: 9,
            storage_identifier: "mcap".into(),
            duration: Nanoseconds { nanoseconds: end_ns - start_ns },
            starting_time: SinceEpoch { nanoseconds_since_epoch: start_ns },
            message_count: self.messages(),
            topics_with_message_count: self
                .topics
                .iter()
                .map(|t| TopicCount { topic_metadata: t.metadata.clone(), message_count: t.messages })
                .collect(),
            compression_format: String::new(),
            compression_mode: String::new(),
            relative_file_paths: self.files.iter().map(|f| f.name.clone()).collect(),
            files: self.files.iter().map(entry).collect(),
            custom_data: (!self.options.custom_data.is_empty()).then(|| self.options.custom_data.clone()),
            ros_distro: self.options.ros_distro.clone(),
        }
    }
}
