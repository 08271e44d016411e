//! One MCAP file: its index from the summary, or by walking through it when the end is missing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcap::records::{Record, op};

use crate::storage::{FileTopic, MAX_PART_BYTES, Part, Place, decompress};
use crate::{BagError, BagMessage, qos};

/// Opcode and length in front of every record.
const RECORD_HEAD: u64 = 9;
/// Footer record and magic at the end of a complete file.
const TAIL: u64 = RECORD_HEAD + 20 + 8;

/// Index of one file.
#[derive(Debug)]
pub(crate) struct McapFile {
    path: PathBuf,
    topics: Vec<FileTopic>,
    channels: Arc<HashMap<u16, Channel>>,
    parts: Vec<Part>,
    damage: Option<String>,
}

/// What a message needs to know of its channel.
#[derive(Debug, Clone)]
struct Channel {
    topic: Arc<str>,
    type_name: Arc<str>,
}

impl McapFile {
    pub(crate) fn open(path: &Path) -> Result<Self, BagError> {
        let mut source = Source::open(path)?;
        let mut index = Index::default();
        let summary = index.read_summary(&mut source).unwrap_or(Summary::Broken);
        if summary != Summary::Whole {
            index = Index::default();
            index.walk(&mut source)?;
            if summary == Summary::Broken {
                let what = "its index at the end is cut off or damaged; every message before it was read";
                index.damage.get_or_insert(what.to_string());
            }
        }
        let (topics, channels) = index.topics();
        Ok(Self { path: path.to_path_buf(), topics, channels: Arc::new(channels), parts: index.parts, damage: index.damage })
    }

    pub(crate) fn topics(&self) -> &[FileTopic] {
        &self.topics
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    pub(crate) fn reader(&self) -> Result<McapReader, BagError> {
        Ok(McapReader { source: Source::open(&self.path)?, channels: Arc::clone(&self.channels) })
    }
}

/// Loads chunks of one file.
pub(crate) struct McapReader {
    source: Source,
    channels: Arc<HashMap<u16, Channel>>,
}

impl McapReader {
    pub(crate) fn load(&mut self, opcode: u8, offset: u64, length: u64, out: &mut Vec<BagMessage>) -> Result<(), BagError> {
        let body = self.source.read_at(offset, length)?;
        let outcome = if opcode == op::CHUNK {
            chunk_records(&body).and_then(|records| each_record(&records, |op, body| self.push(op, body, out)))
        } else {
            self.push(opcode, &body, out)
        };
        outcome.map_err(|reason| {
            BagError::incomplete(&self.source.path, format!("the part at byte {offset} is damaged and was left out ({reason})"))
        })
    }

    fn push(&self, opcode: u8, body: &[u8], out: &mut Vec<BagMessage>) -> Result<(), String> {
        if opcode != op::MESSAGE {
            return Ok(());
        }
        let (channel, log_time_ns, publish_time_ns, data) = message(body)?;
        if let Some(channel) = self.channels.get(&channel) {
            out.push(BagMessage {
                topic: Arc::clone(&channel.topic),
                type_name: Arc::clone(&channel.type_name),
                log_time_ns,
                publish_time_ns,
                data: data.to_vec(),
            });
        }
        Ok(())
    }
}

/// A file with its length, so that no claim inside it reaches beyond its end.
struct Source {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self, BagError> {
        let file = File::open(path).map_err(BagError::io(path))?;
        let length = file.metadata().map_err(BagError::io(path))?.len();
        Ok(Self { path: path.to_path_buf(), file, length })
    }

    fn read_at(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, BagError> {
        let is_inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        if !is_inside || length > MAX_PART_BYTES {
            let what = format!("an index points to {length} bytes at {offset}, beyond its end or above {MAX_PART_BYTES}");
            return Err(BagError::incomplete(&self.path, what));
        }
        let mut bytes = vec![0; length as usize];
        self.file.seek(SeekFrom::Start(offset)).map_err(BagError::io(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(BagError::io(&self.path))?;
        Ok(bytes)
    }

    /// Opcode and length of the record at `offset`; `None` when its head reaches beyond the end.
    fn head_at(&mut self, offset: u64) -> Result<Option<(u8, u64)>, BagError> {
        if offset + RECORD_HEAD > self.length {
            return Ok(None);
        }
        let head = self.read_at(offset, RECORD_HEAD)?;
        Ok(head.split_first().and_then(|(op, len)| Some((*op, u64::from_le_bytes(len.try_into().ok()?)))))
    }
}

/// State of the index at a file's end.
#[derive(Clone, Copy, PartialEq)]
enum Summary {
    /// It describes the whole file.
    Whole,
    /// The file was written without one, or with too little in it.
    Absent,
    /// It is cut off, or its checksum does not match.
    Broken,
}

/// What is collected while the index is built.
#[derive(Default)]
struct Index {
    /// Name, encoding, text.
    schemas: HashMap<u16, (String, String, String)>,
    channels: HashMap<u16, mcap::records::Channel>,
    counts: HashMap<u16, u64>,
    parts: Vec<Part>,
    damage: Option<String>,
}

impl Index {
    /// Takes the index from the summary at the end.
    fn read_summary(&mut self, source: &mut Source) -> Result<Summary, BagError> {
        if source.length < TAIL {
            return Ok(Summary::Broken);
        }
        let tail = source.read_at(source.length - TAIL, TAIL)?;
        let footer = match (tail.strip_suffix(mcap::MAGIC), tail.first()) {
            (Some(record), Some(&op::FOOTER)) => mcap::parse_record(op::FOOTER, &record[RECORD_HEAD as usize..]),
            _ => return Ok(Summary::Broken),
        };
        let Ok(Record::Footer(footer)) = footer else { return Ok(Summary::Broken) };
        let end = source.length - TAIL;
        if footer.summary_start == 0 {
            return Ok(Summary::Absent);
        }
        if footer.summary_start > end {
            return Ok(Summary::Broken);
        }
        // The checksum covers the summary and the footer up to the checksum itself.
        let mut bytes = source.read_at(footer.summary_start, source.length - footer.summary_start - 12)?;
        if footer.summary_crc != 0 && crc32fast::hash(&bytes) != footer.summary_crc {
            return Ok(Summary::Broken);
        }
        bytes.truncate((end - footer.summary_start) as usize);
        self.take_summary(&bytes)
    }

    fn take_summary(&mut self, bytes: &[u8]) -> Result<Summary, BagError> {
        let mut statistics = None;
        let read = each_record(bytes, |op, body| {
            match mcap::parse_record(op, body).map_err(|e| e.to_string())? {
                Record::ChunkIndex(chunk) => self.parts.push(Part {
                    start_ns: time_ns(chunk.message_start_time),
                    end_ns: time_ns(chunk.message_end_time),
                    place: Place::Record {
                        op: op::CHUNK,
                        offset: chunk.chunk_start_offset.saturating_add(RECORD_HEAD),
                        length: chunk.chunk_length.saturating_sub(RECORD_HEAD),
                    },
                }),
                Record::Statistics(s) => statistics = Some(s),
                record => self.note(record),
            }
            Ok(())
        });
        if read.is_err() {
            return Ok(Summary::Broken);
        }
        let Some(statistics) = statistics else { return Ok(Summary::Absent) };
        let is_whole = self.parts.len() as u64 == u64::from(statistics.chunk_count)
            && (statistics.message_count == 0 || statistics.chunk_count > 0)
            && self.channels.len() as u64 == u64::from(statistics.channel_count);
        self.counts = statistics.channel_message_counts.into_iter().collect();
        Ok(if is_whole { Summary::Whole } else { Summary::Absent })
    }

    /// Builds the index from the records themselves. Ends at the first place that makes no sense and notes it down.
    fn walk(&mut self, source: &mut Source) -> Result<(), BagError> {
        let mut offset = mcap::MAGIC.len() as u64;
        loop {
            let Some((opcode, length)) = source.head_at(offset)? else {
                self.cut_off(source, offset);
                return Ok(());
            };
            let body_at = offset + RECORD_HEAD;
            let is_known = (op::HEADER..=op::DATA_END).contains(&opcode) || opcode >= 0x80;
            if !is_known {
                self.damage =
                    Some(format!("no record begins at byte {offset}: the file is damaged there, everything before that was read"));
                return Ok(());
            }
            let Some(next) = body_at.checked_add(length).filter(|next| *next <= source.length) else {
                self.cut_off(source, offset);
                return Ok(());
            };
            match opcode {
                op::DATA_END | op::FOOTER => return Ok(()),
                op::CHUNK | op::MESSAGE | op::SCHEMA | op::CHANNEL => {
                    let body = source.read_at(body_at, length)?;
                    if let Err(reason) = self.take(opcode, &body, body_at) {
                        self.damage.get_or_insert(format!("the part at byte {offset} is damaged and was left out ({reason})"));
                    }
                }
                _ => {}
            }
            offset = next;
        }
    }

    fn cut_off(&mut self, source: &Source, offset: u64) {
        let what = format!(
            "the file was cut off: it ends at byte {}, in the middle of the record at {offset}; everything before that was read",
            source.length
        );
        self.damage = Some(what);
    }

    fn take(&mut self, opcode: u8, body: &[u8], offset: u64) -> Result<(), String> {
        let span = match opcode {
            op::MESSAGE => {
                let (channel, log_time_ns, ..) = message(body)?;
                *self.counts.entry(channel).or_default() += 1;
                Some((log_time_ns, log_time_ns))
            }
            op::CHUNK => self.take_chunk(body)?,
            _ => {
                self.note(mcap::parse_record(opcode, body).map_err(|e| e.to_string())?);
                None
            }
        };
        if let Some((start_ns, end_ns)) = span {
            let place = Place::Record { op: opcode, offset, length: body.len() as u64 };
            self.parts.push(Part { start_ns, end_ns, place });
        }
        Ok(())
    }

    /// Notes schemas, channels and counts of a chunk; returns the span of its messages.
    fn take_chunk(&mut self, body: &[u8]) -> Result<Option<(i64, i64)>, String> {
        let records = chunk_records(body)?;
        let mut span: Option<(i64, i64)> = None;
        each_record(&records, |op, body| {
            if op == op::MESSAGE {
                let (channel, log_time_ns, ..) = message(body)?;
                *self.counts.entry(channel).or_default() += 1;
                let (first, last) = span.unwrap_or((log_time_ns, log_time_ns));
                span = Some((first.min(log_time_ns), last.max(log_time_ns)));
            } else if op == op::SCHEMA || op == op::CHANNEL {
                self.note(mcap::parse_record(op, body).map_err(|e| e.to_string())?);
            }
            Ok(())
        })?;
        Ok(span)
    }

    fn note(&mut self, record: Record<'_>) {
        match record {
            Record::Schema { header, data } => {
                let text = String::from_utf8_lossy(&data).into_owned();
                self.schemas.insert(header.id, (header.name, header.encoding, text));
            }
            Record::Channel(channel) => {
                self.channels.insert(channel.id, channel);
            }
            _ => {}
        }
    }

    /// Topics by channel, and what each channel's messages need. Channels that are not CDR are left out and noted.
    fn topics(&mut self) -> (Vec<FileTopic>, HashMap<u16, Channel>) {
        let mut ids: Vec<u16> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        let (mut topics, mut channels) = (Vec::new(), HashMap::new());
        for channel in ids.iter().filter_map(|id| self.channels.get(id)) {
            if channel.message_encoding != "cdr" {
                let what = format!("topic {} is encoded as `{}`, not `cdr`, and was left out", channel.topic, channel.message_encoding);
                self.damage.get_or_insert(what);
                continue;
            }
            let (type_name, definition) = match self.schemas.get(&channel.schema_id) {
                Some((name, encoding, text)) if encoding == "ros2msg" => (name.as_str(), text.clone()),
                Some((name, ..)) => (name.as_str(), String::new()),
                None => ("", String::new()),
            };
            let (topic, type_name): (Arc<str>, Arc<str>) = (channel.topic.as_str().into(), type_name.into());
            channels.insert(channel.id, Channel { topic: Arc::clone(&topic), type_name: Arc::clone(&type_name) });
            topics.push(FileTopic {
                name: topic,
                type_name,
                messages: self.counts.get(&channel.id).copied().unwrap_or(0),
                offered_qos: channel.metadata.get("offered_qos_profiles").map(|t| qos::from_channel_text(t)).unwrap_or_default(),
                type_hash: channel.metadata.get("topic_type_hash").cloned().unwrap_or_default(),
                definition,
            });
        }
        (topics, channels)
    }
}

/// The records inside a chunk, decompressed and checked against its checksum.
fn chunk_records(body: &[u8]) -> Result<Vec<u8>, String> {
    let Record::Chunk { header, data } = mcap::parse_record(op::CHUNK, body).map_err(|e| e.to_string())? else {
        return Err("not a chunk".into());
    };
    if header.uncompressed_size > MAX_PART_BYTES {
        return Err(format!("it claims {} bytes, more than {MAX_PART_BYTES}", header.uncompressed_size));
    }
    let size = header.uncompressed_size as usize;
    let records = match header.compression.as_str() {
        "" => data.into_owned(),
        format => decompress(format, &data, size, header.uncompressed_size)?,
    };
    if records.len() != size {
        return Err(format!("it holds {} bytes instead of {size}", records.len()));
    }
    if header.uncompressed_crc != 0 && crc32fast::hash(&records) != header.uncompressed_crc {
        return Err("its checksum does not match".into());
    }
    Ok(records)
}

/// Calls `f` with opcode and body of each record in `bytes`.
fn each_record(bytes: &[u8], mut f: impl FnMut(u8, &[u8]) -> Result<(), String>) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let cut = || "a record reaches beyond the end".to_string();
        let (head, after) = rest.split_at_checked(RECORD_HEAD as usize).ok_or_else(cut)?;
        let (opcode, length) = head.split_first().ok_or_else(cut)?;
        let length = u64::from_le_bytes(length.try_into().map_err(|_| cut())?);
        let length = usize::try_from(length).map_err(|_| cut())?;
        let (body, after) = after.split_at_checked(length).ok_or_else(cut)?;
        f(*opcode, body)?;
        rest = after;
    }
    Ok(())
}

/// Channel, log time, publish time and payload of a message record.
fn message(body: &[u8]) -> Result<(u16, i64, i64, &[u8]), String> {
    let short = || "a message record is too short".to_string();
    let (head, data) = body.split_at_checked(22).ok_or_else(short)?;
    let word = |range: std::ops::Range<usize>| head.get(range).and_then(|b| <[u8; 8]>::try_from(b).ok()).map(u64::from_le_bytes);
    let channel = head.get(..2).and_then(|b| <[u8; 2]>::try_from(b).ok()).map(u16::from_le_bytes).ok_or_else(short)?;
    let log_time = word(6..14).ok_or_else(short)?;
    let publish_time = word(14..22).ok_or_else(short)?;
    Ok((channel, time_ns(log_time), time_ns(publish_time), data))
}

fn time_ns(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}
