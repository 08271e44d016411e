//! `metadata.yaml`, the face of a bag: read in all versions, written in version 9 (Jazzy).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::BagError;
use crate::qos::{self, QosProfile};

/// Name of the file in a bag's folder.
pub(crate) const METADATA_FILE: &str = "metadata.yaml";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    rosbag2_bagfile_information: Metadata,
}

/// Contents of `metadata.yaml`, in its own order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub version: u32,
    pub storage_identifier: String,
    pub duration: Nanoseconds,
    pub starting_time: SinceEpoch,
    pub message_count: u64,
    pub topics_with_message_count: Vec<TopicCount>,
    #[serde(deserialize_with = "null_is_default")]
    pub compression_format: String,
    #[serde(deserialize_with = "null_is_default")]
    pub compression_mode: String,
    pub relative_file_paths: Vec<String>,
    pub files: Vec<FileEntry>,
    pub custom_data: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "null_is_default")]
    pub ros_distro: String,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Nanoseconds {
    pub nanoseconds: i64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct SinceEpoch {
    pub nanoseconds_since_epoch: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TopicCount {
    pub topic_metadata: TopicMetadata,
    pub message_count: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TopicMetadata {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub serialization_format: String,
    #[serde(default, serialize_with = "qos::serialize_profiles", deserialize_with = "qos::deserialize_profiles")]
    pub offered_qos_profiles: Vec<QosProfile>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub type_description_hash: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub path: String,
    pub starting_time: SinceEpoch,
    pub duration: Nanoseconds,
    pub message_count: u64,
}

fn null_is_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

impl Metadata {
    /// Reads `dir/metadata.yaml`; `None` when there is no such file.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, BagError> {
        let path = dir.join(METADATA_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(BagError::io(&path)(e)),
        };
        serde_yaml::from_str::<Document>(&text).map(|d| Some(d.rosbag2_bagfile_information)).map_err(|e| {
            BagError::incomplete(
                &path,
                format!("is not the metadata of a bag ({e}); restore it or delete it to read the files as they are"),
            )
        })
    }

    /// Replaces `dir/metadata.yaml` in one step, so that a reader never sees half a file.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), BagError> {
        let path = dir.join(METADATA_FILE);
        let fail = |e: &std::io::Error| BagError::write(&path, e);
        let document = Document { rosbag2_bagfile_information: self.clone() };
        let text = serde_yaml::to_string(&document).map_err(|e| BagError::Write { path: path.clone(), reason: e.to_string() })?;
        let partial = dir.join(".metadata.yaml.partial");
        std::fs::write(&partial, text).map_err(|e| fail(&e))?;
        std::fs::rename(&partial, &path).map_err(|e| fail(&e))
    }

    /// The text that goes into the MCAP file itself.
    pub(crate) fn to_text(&self) -> Result<String, serde_yaml::Error> {
        serde_yaml::to_string(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn version_4_with_qos_in_a_text_is_read() {
        let text = r#"
rosbag2_bagfile_information:
  version: 4
  storage_identifier: sqlite3
  relative_file_paths: [a_0.db3.zstd]
  duration: {nanoseconds: 10}
  starting_time: {nanoseconds_since_epoch: 5}
  message_count: 2
  topics_with_message_count:
    - topic_metadata:
        name: /chatter
        type: std_msgs/msg/String
        serialization_format: cdr
        offered_qos_profiles: "- history: 3\n  depth: 0\n  reliability: 1\n  durability: 2\n"
      message_count: 2
  compression_format: zstd
  compression_mode: FILE
"#;
        let m = serde_yaml::from_str::<Document>(text).unwrap().rosbag2_bagfile_information;
        assert_eq!(m.compression_mode, "FILE");
        assert_eq!(m.custom_data, None);
        let qos = m.topics_with_message_count[0].topic_metadata.offered_qos_profiles[0];
        assert_eq!(qos, QosProfile { depth: 1, ..QosProfile::EVENT });
    }
}
