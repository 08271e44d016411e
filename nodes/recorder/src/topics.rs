//! Which topics are recorded, as which types, and how much memory their messages take.

use std::sync::Arc;

use bag::TopicSpec;
use intact_msgs::msg::{CellEvent, Decision, GalleryReport, Inspection, ItemArrival, Outcome};
use node_kit::NodeError;
use ros_interfaces::Message;
use ros_interfaces::diagnostic_msgs::msg::DiagnosticArray;
use ros_interfaces::rosgraph_msgs::msg::Clock;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, CompressedImage, Image, JointState};
use ros_interfaces::std_msgs::msg::String as Text;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use ros_interfaces::vision_msgs::msg::Detection2DArray;
use transport::{Node, Qos, Subscription, TransportError};

/// A message that waits, with what is needed to write it.
pub(crate) struct Entry {
    /// Index of the topic.
    pub topic: usize,
    /// When it was received, nanoseconds of ROS time.
    pub log_time_ns: i64,
    /// Memory it holds, roughly.
    pub bytes: usize,
    /// Turns it into CDR, on the writer's thread.
    pub encode: Encode,
}

type Encode = Box<dyn FnOnce() -> Result<Vec<u8>, String> + Send>;

/// One topic to record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub topic: String,
    pub type_name: String,
    pub qos: Qos,
}

impl Wanted {
    fn new<M: Message>(topic: impl Into<String>, qos: Qos) -> Self {
        Self { topic: topic.into(), type_name: M::TYPE_NAME.into(), qos }
    }
}

/// Every topic of a cell with these cameras.
pub(crate) fn of_the_cell(cameras: &[String]) -> Vec<Wanted> {
    let mut wanted = vec![
        Wanted::new::<TFMessage>("/tf_static", Qos { depth: 100, ..Qos::latched() }),
        Wanted::new::<TFMessage>("/tf", Qos::event()),
        Wanted::new::<Text>("robot_description", Qos::latched()),
        Wanted::new::<ItemArrival>("item_arrival", Qos::event()),
        Wanted::new::<Inspection>("inspection", Qos::event()),
        Wanted::new::<Detection2DArray>("detections", Qos::event()),
        Wanted::new::<GalleryReport>("gallery_report", Qos::event()),
        Wanted::new::<Decision>("decision", Qos::event()),
        Wanted::new::<Outcome>("outcome", Qos::event()),
        Wanted::new::<CellEvent>("cell_event", Qos::event()),
        Wanted::new::<JointState>("joint_states", Qos::sensor()),
        Wanted::new::<DiagnosticArray>("/diagnostics", Qos::event()),
    ];
    for camera in cameras {
        wanted.push(Wanted::new::<Image>(format!("{camera}/color/image_raw"), Qos::sensor()));
        wanted.push(Wanted::new::<Image>(format!("{camera}/aligned_depth_to_color/image_raw"), Qos::sensor()));
        wanted.push(Wanted::new::<CameraInfo>(format!("{camera}/color/camera_info"), Qos::sensor()));
        for stream in ["color", "aligned_depth_to_color"] {
            wanted.push(Wanted::new::<Image>(format!("{camera}/background/{stream}/image_raw"), Qos::latched()));
        }
    }
    wanted
}

/// The topics that the parameters ask for: `topic` for one of the cell's, `topic:type` for any other.
pub(crate) fn chosen(cameras: &[String], topics: &[String]) -> Result<Vec<Wanted>, NodeError> {
    let known = of_the_cell(cameras);
    if topics.is_empty() {
        return Ok(known);
    }
    let bare = |name: &str| name.trim_start_matches('/').to_string();
    let one = |entry: &String| match entry.split_once(':') {
        Some((topic, type_name)) if recordable_types().contains(&type_name) => {
            Ok(Wanted { topic: topic.into(), type_name: type_name.into(), qos: Qos::sensor() })
        }
        Some((topic, type_name)) => {
            let types = recordable_types().join(", ");
            Err(NodeError::msg(format!("topic {topic} cannot be recorded as `{type_name}`; types that can: {types}")))
        }
        None => known.iter().find(|w| bare(&w.topic) == bare(entry)).cloned().ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|w| w.topic.as_str()).collect();
            NodeError::msg(format!(
                "topic {entry} is none of the cell's ({}); add its type as `{entry}:package/msg/Type`",
                names.join(", ")
            ))
        }),
    };
    topics.iter().map(one).collect()
}

/// Subscribes as `M` and describes the topic for the bag.
fn subscribe_as<M: Message>(
    node: &Node,
    wanted: &Wanted,
    topic: usize,
    payload_bytes: fn(&M) -> usize,
    push: impl Fn(Entry) + Send + Sync + 'static,
) -> Result<(TopicSpec<'static>, Subscription), TransportError> {
    let clock = node.clock();
    let receive = move |message: Arc<M>| {
        let bytes = std::mem::size_of::<M>() + payload_bytes(&message);
        let encode = move || message.to_cdr().map_err(|e| e.to_string());
        push(Entry { topic, log_time_ns: clock.now_ns(), bytes, encode: Box::new(encode) });
    };
    // A depth beyond the publisher's costs nothing and lets a burst through.
    let subscription = node.subscribe::<M>(&wanted.topic, wanted.qos, receive)?;
    Ok((TopicSpec::of::<M>("", bag_qos(wanted.qos)), subscription))
}

/// The same in the words of bags.
fn bag_qos(qos: Qos) -> bag::QosProfile {
    bag::QosProfile {
        reliability: match qos.reliability {
            transport::Reliability::Reliable => bag::Reliability::Reliable,
            transport::Reliability::BestEffort => bag::Reliability::BestEffort,
        },
        durability: match qos.durability {
            transport::Durability::TransientLocal => bag::Durability::TransientLocal,
            transport::Durability::Volatile => bag::Durability::Volatile,
        },
        depth: qos.depth,
    }
}

/// The one table of types: what can be recorded, and the bytes of a message's large parts.
macro_rules! recordable {
    ($($ty:ty => $payload_bytes:expr;)*) => {
        /// Types that can be recorded, by their ROS names.
        pub fn recordable_types() -> Vec<&'static str> {
            vec![$(<$ty as Message>::TYPE_NAME),*]
        }

        /// Subscribes to a topic by the name of its type; `None` for a type that is not in the table.
        pub(crate) fn subscribe(
            node: &Node,
            wanted: &Wanted,
            topic: usize,
            push: impl Fn(Entry) + Send + Sync + 'static,
        ) -> Result<Option<(TopicSpec<'static>, Subscription)>, TransportError> {
            $(if wanted.type_name == <$ty as Message>::TYPE_NAME {
                return subscribe_as::<$ty>(node, wanted, topic, $payload_bytes, push).map(Some);
            })*
            Ok(None)
        }
    };
}

recordable! {
    Image => |m| m.data.len();
    CompressedImage => |m| m.data.len();
    CameraInfo => |m| m.d.len() * 8;
    Inspection => |m| m.mask.data.len() + m.heatmap.data.len();
    GalleryReport => |m| m.reference_image.data.len() + m.discrepancy.data.len();
    ItemArrival => |m| m.item_id.len();
    Decision => |m| m.reasons.len() * 24;
    Outcome => |m| m.message.len();
    CellEvent => |m| m.detail.len();
    Detection2DArray => |m| m.detections.len() * 512;
    TFMessage => |m| m.transforms.len() * 128;
    JointState => |m| m.name.len() * 64;
    Text => |m| m.data.len();
    DiagnosticArray => |m| m.status.len() * 1024;
    Clock => |_| 0;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(topics: &[&str]) -> Result<Vec<String>, String> {
        let topics: Vec<String> = topics.iter().map(|t| (*t).to_string()).collect();
        let chosen = chosen(&["cam".into()], &topics).map_err(|e| e.to_string())?;
        Ok(chosen.into_iter().map(|w| format!("{} {}", w.topic, w.type_name)).collect())
    }

    #[test]
    fn every_topic_of_the_cell_has_a_type_in_the_table() {
        for wanted in of_the_cell(&["cam".into()]) {
            assert!(recordable_types().contains(&wanted.type_name.as_str()), "{wanted:?}");
        }
    }

    #[test]
    fn topics_are_chosen_by_name_or_with_a_type() {
        assert_eq!(names(&["/decision"]).unwrap(), ["decision intact_msgs/msg/Decision"]);
        assert_eq!(names(&["cam/color/image_raw"]).unwrap(), ["cam/color/image_raw sensor_msgs/msg/Image"]);
        assert_eq!(names(&["/extra:sensor_msgs/msg/Image"]).unwrap(), ["/extra sensor_msgs/msg/Image"]);
        assert!(names(&["desicion"]).unwrap_err().contains("decision"));
        assert!(names(&["/extra:nav_msgs/msg/Path"]).unwrap_err().contains("sensor_msgs/msg/Image"));
        assert!(names(&[]).unwrap().len() > 12);
    }
}
