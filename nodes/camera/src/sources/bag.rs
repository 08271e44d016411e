//! Replays a bag, recorded by a camera, by `intact bag import`, or by a whole cell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ::bag::{Bag, BagError, BagMessage, Form, Messages, ReadOptions, Stream};
use intact_msgs::msg::{CellEvent, ItemArrival};
use node_kit::NodeError;
use ros_interfaces::sensor_msgs::msg::{CompressedImage, Image};
use ros_interfaces::tf2_msgs::msg::TFMessage;
use vision::codec::{decode_compressed, decode_compressed_depth};

use crate::extrinsics::{link_frame, optical_frame};
use crate::params::CameraParams;
use crate::source::{Outgoing, Problem, Source, Step};
use crate::sources::mapping::{Chosen, Mapping, Role, map};
use crate::sources::named;

/// A bag as a source: all messages of one log time are a step.
pub(crate) struct BagSource {
    bag: Bag,
    mapping: Mapping,
    cameras: Vec<String>,
    /// What a replay must take from the record, by item or instance.
    events_of_item: BTreeMap<String, Vec<CellEvent>>,
    /// Of a recorded run: tray, cameras, and what carries them.
    our_frames: BTreeSet<String>,
    messages: Messages,
    /// The first message of the next step.
    ahead: Option<BagMessage>,
    /// The damage of a bag is told in the first round only.
    told: BTreeSet<String>,
}

impl BagSource {
    pub(crate) fn open(params: &CameraParams) -> Result<Self, NodeError> {
        if params.bag.is_empty() {
            return Err(NodeError::msg("source `bag` needs the parameter `bag`: the folder or file to replay"));
        }
        let bag = Bag::open(Path::new(&params.bag)).map_err(|e| NodeError::because("the bag cannot be opened", e))?;
        let unusable = |why: String| NodeError::msg(format!("bag {} cannot be replayed: {why}", params.bag));
        if bag.message_count() == 0 {
            return Err(unusable("it is empty".into()));
        }
        let chosen = Chosen { color: &params.color_topics, depth: &params.depth_topics, info: &params.info_topics };
        let mapping = map(bag.topics(), &chosen).map_err(unusable)?;
        let cameras = named(params, mapping.cameras.clone())?;
        let events_of_item = if mapping.is_recorded_run { recorded_events(&bag, &mapping) } else { BTreeMap::new() };
        let our_frames = if mapping.is_recorded_run { our_frames(&bag, &mapping, &cameras) } else { BTreeSet::new() };
        let messages = replayed(&bag, &mapping);
        Ok(Self { bag, mapping, cameras, events_of_item, our_frames, messages, ahead: None, told: BTreeSet::new() })
    }

    /// The next message that reads; what does not read becomes a problem.
    fn next_message(&mut self, problems: &mut Vec<String>) -> Option<BagMessage> {
        if self.ahead.is_some() {
            return self.ahead.take();
        }
        loop {
            match self.messages.next()? {
                Ok(message) => return Some(message),
                Err(error) => {
                    let words = error.to_string();
                    if self.told.insert(words.clone()) {
                        problems.push(words);
                    }
                }
            }
        }
    }

    fn take(&self, message: &BagMessage, step: &mut Step) -> Result<(), String> {
        let Some(role) = self.mapping.roles.get(&*message.topic) else { return Ok(()) };
        match role {
            Role::Stream(camera, stream, form) => step.messages.push(self.picture(message, *camera, *stream, *form)?),
            Role::Arrival => {
                let arrival: ItemArrival = decode(message)?;
                step.messages.extend(self.recorded_of(&arrival.item_id).cloned().map(Outgoing::Recorded));
                step.messages.push(Outgoing::Arrival(arrival));
            }
            Role::Event => {}
            Role::TfStatic => step.messages.extend(self.ours(decode(message)?).map(Outgoing::TfStatic)),
            Role::Tf => step.messages.extend(self.ours(decode(message)?).map(Outgoing::Tf)),
        }
        Ok(())
    }

    /// What was recorded of an item, and of its instances `<id>#<k>`.
    fn recorded_of<'a>(&'a self, item_id: &'a str) -> impl Iterator<Item = &'a CellEvent> {
        let is_instance = |rest: &str| rest.strip_prefix('#').is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit()));
        let like = self.events_of_item.range(item_id.to_owned()..).map_while(move |(id, events)| Some((id.strip_prefix(item_id)?, events)));
        like.filter(move |(rest, _)| rest.is_empty() || is_instance(rest)).flat_map(|(_, events)| events)
    }

    fn picture(&self, message: &BagMessage, camera: usize, stream: Stream, form: Form) -> Result<Outgoing, String> {
        if stream == Stream::Info {
            return Ok(Outgoing::Info(camera, Arc::new(decode(message)?)));
        }
        let refuse = |e: vision::ImageError| format!("a picture on {} is dropped: {e}", message.topic);
        let image = match form {
            Form::Raw => decode::<Image>(message)?,
            Form::Compressed => decode_compressed(&decode::<CompressedImage>(message)?).map_err(refuse)?,
            Form::CompressedDepth => decode_compressed_depth(&decode::<CompressedImage>(message)?).map_err(refuse)?,
        };
        let image = Arc::new(image);
        Ok(match stream {
            Stream::Depth => Outgoing::Depth(camera, image),
            Stream::BackgroundColor => Outgoing::BackgroundColor(camera, image),
            Stream::BackgroundDepth => Outgoing::BackgroundDepth(camera, image),
            Stream::Color | Stream::Info => Outgoing::Color(camera, image),
        })
    }

    /// Of the transforms of a recorded run only the tray's, the cameras' and those that carry them: the robot says its own again.
    fn ours(&self, mut tf: TFMessage) -> Option<TFMessage> {
        if self.mapping.is_recorded_run {
            tf.transforms.retain(|t| self.our_frames.contains(t.child_frame_id.trim_start_matches('/')));
        }
        (!tf.transforms.is_empty()).then_some(tf)
    }
}

impl Source for BagSource {
    fn cameras(&self) -> &[String] {
        &self.cameras
    }

    fn is_recorded_run(&self) -> bool {
        self.mapping.is_recorded_run
    }

    fn describe(&self) -> String {
        let what = if self.mapping.is_recorded_run { "recorded run" } else { "bag" };
        let seconds = self.bag.span_ns().map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 * 1e-9);
        format!(
            "replaying {what} {}: {} messages, {seconds:.1} s, {} camera(s)",
            self.bag.path().display(),
            self.bag.message_count(),
            self.cameras.len()
        )
    }

    fn next_step(&mut self) -> Option<Step> {
        let mut words = Vec::new();
        let mut step = Step::default();
        let mut begun = false;
        while let Some(message) = self.next_message(&mut words) {
            if begun && message.log_time_ns != step.time_ns {
                self.ahead = Some(message);
                break;
            }
            (begun, step.time_ns) = (true, message.log_time_ns);
            if let Err(why) = self.take(&message, &mut step) {
                let stamp_ns = message.stamp_ns().unwrap_or(message.log_time_ns);
                step.problems.push(Problem { stamp_ns, item_id: String::new(), detail: why });
            }
        }
        if !begun {
            // A bag that was cut off says so after its last message.
            let last_ns = self.bag.span_ns().map_or(0, |(_, last_ns)| last_ns);
            step.time_ns = last_ns;
            begun = !words.is_empty();
        }
        let stamp_ns = step.time_ns;
        step.problems.extend(words.into_iter().map(|detail| Problem { stamp_ns, item_id: String::new(), detail }));
        begun.then_some(step)
    }

    fn rewind(&mut self) {
        self.messages = replayed(&self.bag, &self.mapping);
        self.ahead = None;
        // They name stamps of the first round; later ones choose their frames as a live cell does.
        self.events_of_item.clear();
    }
}

fn decode<M: ros_interfaces::Message>(message: &BagMessage) -> Result<M, String> {
    message.decode().map_err(|e: BagError| e.to_string())
}

/// The messages that are replayed: not what the cell said when it was recorded.
fn replayed(bag: &Bag, mapping: &Mapping) -> Messages {
    let topics = mapping.roles.iter().filter(|(_, role)| **role != Role::Event).map(|(topic, _)| topic.clone()).collect();
    bag.messages_with(&ReadOptions { topics, ..ReadOptions::default() })
}

/// Frame choice, drops and expired deadlines of a recorded run.
fn recorded_events(bag: &Bag, mapping: &Mapping) -> BTreeMap<String, Vec<CellEvent>> {
    let topics: Vec<String> = mapping.roles.iter().filter(|(_, role)| **role == Role::Event).map(|(topic, _)| topic.clone()).collect();
    let mut of_item: BTreeMap<String, Vec<CellEvent>> = BTreeMap::new();
    if topics.is_empty() {
        return of_item;
    }
    let events = bag.messages_with(&ReadOptions { topics, ..ReadOptions::default() });
    for event in events.flatten().filter_map(|message| message.decode::<CellEvent>().ok()) {
        let binds = matches!(event.kind, CellEvent::FRAME_CHOSEN | CellEvent::FRAME_DROPPED | CellEvent::DEADLINE_EXPIRED);
        if binds && !event.item_id.is_empty() {
            of_item.entry(event.item_id.clone()).or_default().push(event);
        }
    }
    of_item
}

/// Tray and cameras, and the frames between them and the root that `/tf_static` tells of: a stand, a cell within a plant.
fn our_frames(bag: &Bag, mapping: &Mapping, cameras: &[String]) -> BTreeSet<String> {
    let topics = mapping.roles.iter().filter(|(_, role)| **role == Role::TfStatic).map(|(topic, _)| topic.clone()).collect::<Vec<_>>();
    let plain = |frame: &str| frame.trim_start_matches('/').to_owned();
    let mut parents = BTreeMap::new();
    if !topics.is_empty() {
        let messages = bag.messages_with(&ReadOptions { topics, ..ReadOptions::default() });
        for tf in messages.flatten().filter_map(|message| message.decode::<TFMessage>().ok()) {
            parents.extend(tf.transforms.iter().map(|t| (plain(&t.child_frame_id), plain(&t.header.frame_id))));
        }
    }
    let mut ours: BTreeSet<String> = BTreeSet::from(["tray".to_owned()]);
    for frame in cameras.iter().flat_map(|c| [link_frame(c), optical_frame(c)]) {
        let mut next = Some(frame);
        while let Some(frame) = next.filter(|frame| !ours.contains(frame)) {
            next = parents.get(&frame).cloned();
            ours.insert(frame);
        }
    }
    ours
}
