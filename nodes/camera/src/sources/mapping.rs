//! Which topic of a bag is which stream of which camera.

use std::collections::BTreeMap;

use ::bag::{Form, Stream, TopicInfo, form_of, recognise};

/// What a topic means to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A stream of a camera (index), in a form.
    Stream(usize, Stream, Form),
    /// `ItemArrival`.
    Arrival,
    /// `CellEvent` of a recorded run.
    Event,
    /// `/tf_static`.
    TfStatic,
    /// `/tf`.
    Tf,
}

/// Topics given by parameters, one a camera; empty lists mean that they are found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen<'a> {
    pub(crate) color: &'a [String],
    pub(crate) depth: &'a [String],
    pub(crate) info: &'a [String],
}

/// Cameras of a bag and the role of each topic that is replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Namespaces, without the leading `/`.
    pub(crate) cameras: Vec<String>,
    /// Role by topic name.
    pub(crate) roles: BTreeMap<String, Role>,
    /// The bag holds what a cell said while it was recorded: inspections, decisions, events.
    pub(crate) is_recorded_run: bool,
}

/// Types that only a running cell says.
const RUN_TYPES: [&str; 5] = [
    "intact_msgs/msg/Inspection",
    "intact_msgs/msg/GalleryReport",
    "intact_msgs/msg/Decision",
    "intact_msgs/msg/Outcome",
    "intact_msgs/msg/CellEvent",
];

/// Maps the topics of a bag.
///
/// # Errors
/// One sentence, when a chosen topic is missing or there is no colour at all.
pub(crate) fn map(topics: &[TopicInfo], chosen: &Chosen<'_>) -> Result<Mapping, String> {
    let mut streams: BTreeMap<(String, Stream), (Form, String)> = BTreeMap::new();
    let mut roles = BTreeMap::new();
    for topic in topics.iter().filter(|t| t.messages > 0) {
        match topic.type_name.as_str() {
            "intact_msgs/msg/ItemArrival" => drop(roles.insert(topic.name.clone(), Role::Arrival)),
            "intact_msgs/msg/CellEvent" if topic.name.ends_with("/cell_event") => drop(roles.insert(topic.name.clone(), Role::Event)),
            "tf2_msgs/msg/TFMessage" if topic.name == "/tf_static" => drop(roles.insert(topic.name.clone(), Role::TfStatic)),
            "tf2_msgs/msg/TFMessage" if topic.name == "/tf" => drop(roles.insert(topic.name.clone(), Role::Tf)),
            _ => {
                if let Some((camera, stream, form)) = recognise(&topic.name, &topic.type_name) {
                    let best = streams.entry((camera, stream)).or_insert_with(|| (form, topic.name.clone()));
                    if form < best.0 {
                        *best = (form, topic.name.clone());
                    }
                }
            }
        }
    }
    let cameras = choose(&mut streams, topics, chosen)?;
    if cameras.is_empty() {
        let names: Vec<&str> = topics.iter().map(|t| t.name.as_str()).collect();
        return Err(format!("it has no colour images; its topics are {}: name one with color_topics", names.join(", ")));
    }
    for ((camera, stream), (form, topic)) in streams {
        if let Some(index) = cameras.iter().position(|c| *c == camera) {
            roles.insert(topic, Role::Stream(index, stream, form));
        }
    }
    let is_recorded_run = topics.iter().any(|t| t.messages > 0 && RUN_TYPES.contains(&t.type_name.as_str()));
    Ok(Mapping { cameras, roles, is_recorded_run })
}

/// Namespaces under which the node gives out the cameras of a bag with these topics; `color_topics` as the parameter.
///
/// # Errors
/// One sentence, when a chosen topic is missing or there is no colour at all.
pub fn cameras_of_bag(topics: &[TopicInfo], color_topics: &[String]) -> Result<Vec<String>, String> {
    map(topics, &Chosen { color: color_topics, ..Chosen::default() }).map(|mapping| mapping.cameras)
}

/// Puts the chosen topics in the place of the found ones. The cameras, in the order in which their colour topics were named, else by
/// name; what else was found of a chosen camera stays.
fn choose(
    streams: &mut BTreeMap<(String, Stream), (Form, String)>,
    topics: &[TopicInfo],
    chosen: &Chosen<'_>,
) -> Result<Vec<String>, String> {
    let mut cameras: Vec<String> = Vec::new();
    match chosen.color {
        [] => cameras.extend(streams.keys().filter(|(_, s)| *s == Stream::Color).map(|(camera, _)| camera.clone())),
        color => {
            for (i, topic) in color.iter().enumerate() {
                // Two colour topics of one namespace are two cameras.
                let name = camera_of(topic).filter(|name| !cameras.contains(name)).unwrap_or_else(|| format!("camera_{i}"));
                cameras.push(name);
            }
            // Whoever names the colour topics says which cameras there are.
            streams.retain(|(camera, stream), _| *stream != Stream::Color && cameras.contains(camera));
        }
    }
    for (list, stream, parameter) in [
        (chosen.color, Stream::Color, "color_topics"),
        (chosen.depth, Stream::Depth, "depth_topics"),
        (chosen.info, Stream::Info, "info_topics"),
    ] {
        if list.len() > cameras.len() {
            return Err(format!("parameter `{parameter}` names {} topics for {} cameras; name one per camera", list.len(), cameras.len()));
        }
        for (camera, name) in cameras.iter().zip(list) {
            let name = format!("/{}", name.trim_start_matches('/'));
            let topic = topics.iter().find(|t| t.name == name).ok_or_else(|| {
                let nearest = transport::suggest::nearest(&name, topics.iter().map(|t| t.name.as_str())).unwrap_or_default();
                format!("it has no topic {name} (parameter `{parameter}`); did you mean {nearest}?")
            })?;
            let form = form_of(&topic.name, &topic.type_name, stream)
                .ok_or_else(|| format!("topic {name} (parameter `{parameter}`) is a {}, which is no such stream", topic.type_name))?;
            streams.insert((camera.clone(), stream), (form, name));
        }
    }
    Ok(cameras)
}

fn camera_of(topic: &str) -> Option<String> {
    recognise(topic, "sensor_msgs/msg/Image").map(|(camera, ..)| camera)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const IMAGE: &str = "sensor_msgs/msg/Image";
    const PACKED: &str = "sensor_msgs/msg/CompressedImage";
    const INFO: &str = "sensor_msgs/msg/CameraInfo";

    fn topics(list: &[(&str, &str)]) -> Vec<TopicInfo> {
        let topic = |(name, type_name): &(&str, &str)| TopicInfo {
            name: (*name).into(),
            type_name: (*type_name).into(),
            messages: 1,
            offered_qos: vec![],
            type_hash: String::new(),
            definition: String::new(),
        };
        list.iter().map(topic).collect()
    }

    /// `topic -> camera stream form`, in the order of the topics.
    fn mapped(list: &[(&str, &str)], chosen: &Chosen<'_>) -> Vec<String> {
        let mapping = map(&topics(list), chosen).unwrap();
        let line = |(topic, role): (&String, &Role)| match role {
            Role::Stream(camera, stream, form) => format!("{topic} -> {} {stream:?} {form:?}", mapping.cameras[*camera]),
            other => format!("{topic} -> {other:?}"),
        };
        mapping.roles.iter().map(line).collect()
    }

    #[test]
    fn our_own_names() {
        let list = [
            ("/camera/color/image_raw", IMAGE),
            ("/camera/aligned_depth_to_color/image_raw", IMAGE),
            ("/camera/color/camera_info", INFO),
            ("/camera/background/color/image_raw", IMAGE),
            ("/camera/background/aligned_depth_to_color/image_raw", IMAGE),
            ("/item_arrival", "intact_msgs/msg/ItemArrival"),
            ("/tf_static", "tf2_msgs/msg/TFMessage"),
        ];
        assert_eq!(
            mapped(&list, &Chosen::default()),
            [
                "/camera/aligned_depth_to_color/image_raw -> camera Depth Raw",
                "/camera/background/aligned_depth_to_color/image_raw -> camera BackgroundDepth Raw",
                "/camera/background/color/image_raw -> camera BackgroundColor Raw",
                "/camera/color/camera_info -> camera Info Raw",
                "/camera/color/image_raw -> camera Color Raw",
                "/item_arrival -> Arrival",
                "/tf_static -> TfStatic",
            ]
        );
        assert!(!map(&topics(&list), &Chosen::default()).unwrap().is_recorded_run);
    }

    #[test]
    fn other_names_and_packed_pictures() {
        let list = [
            ("/left/color/image_raw/compressed", PACKED),
            ("/left/aligned_depth_to_color/image_raw/compressedDepth", PACKED),
            ("/left/color/camera_info", INFO),
            ("/left/depth/image_rect_raw", IMAGE), // not aligned: of no use
            ("/right/rgb/image_rect_color", IMAGE),
            ("/right/rgb/image_rect_color/compressed", PACKED), // raw is preferred
            ("/right/depth_registered/image_rect", IMAGE),
            ("/right/depth_registered/camera_info", INFO),
        ];
        assert_eq!(
            mapped(&list, &Chosen::default()),
            [
                "/left/aligned_depth_to_color/image_raw/compressedDepth -> left Depth CompressedDepth",
                "/left/color/camera_info -> left Info Raw",
                "/left/color/image_raw/compressed -> left Color Compressed",
                "/right/depth_registered/image_rect -> right Depth Raw",
                "/right/rgb/image_rect_color -> right Color Raw",
            ]
        );
    }

    #[test]
    fn parameters_stand_above_names() {
        let list = [("/eye/picture", IMAGE), ("/eye/range", IMAGE), ("/eye/model", INFO), ("/camera/color/image_raw", IMAGE)];
        let (color, depth, info) = (vec!["/eye/picture".to_owned()], vec!["eye/range".to_owned()], vec!["/eye/model".to_owned()]);
        let chosen = Chosen { color: &color, depth: &depth, info: &info };
        assert_eq!(
            mapped(&list, &chosen),
            ["/eye/model -> camera_0 Info Raw", "/eye/picture -> camera_0 Color Raw", "/eye/range -> camera_0 Depth Raw"]
        );
        for (color, depth, words) in [
            (vec!["/eye/pictures".to_owned()], vec![], "did you mean /eye/picture?"),
            (vec!["/eye/model".to_owned()], vec![], "is a sensor_msgs/msg/CameraInfo"),
            (vec![], vec!["/eye/range".to_owned(); 2], "names 2 topics for 1 cameras"),
        ] {
            let error = map(&topics(&list), &Chosen { color: &color, depth: &depth, info: &[] }).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(map(&topics(&[("/scan", "sensor_msgs/msg/LaserScan")]), &Chosen::default()).unwrap_err().contains("/scan"));
    }

    #[test]
    fn a_chosen_camera_keeps_what_was_found_of_it_and_its_place() {
        let list = [
            ("/left/rgb/image", IMAGE),
            ("/left/aligned_depth_to_color/image_raw", IMAGE),
            ("/left/color/camera_info", INFO),
            ("/middle/color/image_raw", IMAGE),
            ("/middle/aligned_depth_to_color/image_raw", IMAGE),
            ("/right/rgb/image", IMAGE),
        ];
        let color = ["right/rgb/image".to_owned(), "/left/rgb/image".to_owned()];
        let chosen = Chosen { color: &color, ..Chosen::default() };
        assert_eq!(map(&topics(&list), &chosen).unwrap().cameras, ["right", "left"], "in the order of the parameter");
        assert_eq!(
            mapped(&list, &chosen),
            [
                "/left/aligned_depth_to_color/image_raw -> left Depth Raw",
                "/left/color/camera_info -> left Info Raw",
                "/left/rgb/image -> left Color Raw",
                "/right/rgb/image -> right Color Raw",
            ]
        );
    }

    #[test]
    fn a_recorded_run_is_recognised() {
        let list = [
            ("/camera/color/image_raw", IMAGE),
            ("/cell_event", "intact_msgs/msg/CellEvent"),
            ("/decision", "intact_msgs/msg/Decision"),
            ("/inspection", "intact_msgs/msg/Inspection"),
        ];
        assert_eq!(mapped(&list, &Chosen::default()), ["/camera/color/image_raw -> camera Color Raw", "/cell_event -> Event"]);
        assert!(map(&topics(&list), &Chosen::default()).unwrap().is_recorded_run);
    }
}
