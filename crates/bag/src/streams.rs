//! Which topic is which stream of which camera, by type and name.

/// One of a camera's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Colour.
    Color,
    /// Depth aligned to colour.
    Depth,
    /// Pinhole model of the colour camera.
    Info,
    /// Colour of the empty tray.
    BackgroundColor,
    /// Aligned depth of the empty tray.
    BackgroundDepth,
}

/// How pictures are packed. The order is that of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// `sensor_msgs/Image`, `CameraInfo`.
    Raw,
    /// JPEG or PNG, as `image_transport` has it.
    Compressed,
    /// PNG of 16 bits behind a header, as `compressed_depth_image_transport` has it.
    CompressedDepth,
}

/// The form of a topic as a stream; `None`: its type is none for that.
pub fn form_of(name: &str, type_name: &str, stream: Stream) -> Option<Form> {
    match (type_name, stream) {
        ("sensor_msgs/msg/CameraInfo", Stream::Info) | ("sensor_msgs/msg/Image", _)
            if (type_name.ends_with("Info")) == (stream == Stream::Info) =>
        {
            Some(Form::Raw)
        }
        ("sensor_msgs/msg/CompressedImage", Stream::Depth | Stream::BackgroundDepth) if name.ends_with("/compressedDepth") => {
            Some(Form::CompressedDepth)
        }
        ("sensor_msgs/msg/CompressedImage", s) if s != Stream::Info => Some(Form::Compressed),
        _ => None,
    }
}

/// Camera (namespace without leading `/`), stream and form of a topic, by type and the names that RealSense, Kinect and our own
/// drivers use. Depth that is not aligned to colour is of no use, and none.
pub fn recognise(name: &str, type_name: &str) -> Option<(String, Stream, Form)> {
    let image = matches!(type_name, "sensor_msgs/msg/Image" | "sensor_msgs/msg/CompressedImage");
    if !image && type_name != "sensor_msgs/msg/CameraInfo" {
        return None;
    }
    let plain = name.trim_start_matches('/');
    let plain = plain.strip_suffix("/compressed").or_else(|| plain.strip_suffix("/compressedDepth")).unwrap_or(plain);
    let parts: Vec<&str> = plain.split('/').collect();
    let says = |part: &str, word: &str| part.split('_').any(|w| w == word);
    let is_color = |part: &&str| ["color", "colour", "rgb"].iter().any(|w| says(part, w)) && !says(part, "depth");
    let is_aligned_depth = |part: &&str| **part == *"aligned_depth_to_color" || **part == *"depth_registered" || **part == *"depth_to_rgb";
    let background = parts.contains(&"background");
    let at = |found: &dyn Fn(&&str) -> bool| parts.iter().position(found);
    let (stream, at) = if let Some(at) = at(&is_aligned_depth) {
        (if background { Stream::BackgroundDepth } else { Stream::Depth }, at)
    } else if let Some(at) = at(&is_color) {
        (if background { Stream::BackgroundColor } else { Stream::Color }, at)
    } else {
        return None;
    };
    let stream = match (image, stream) {
        (true, stream) => stream,
        (false, Stream::Color) => Stream::Info,
        // camera_info of aligned depth says the same as the colour's.
        (false, _) => return None,
    };
    let namespace: Vec<&str> = parts.iter().take(at).filter(|p| **p != "background").copied().collect();
    let camera = if namespace.is_empty() { "camera".to_owned() } else { namespace.join("/") };
    Some((camera, stream, form_of(name, type_name, stream)?))
}
