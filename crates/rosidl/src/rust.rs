//! Rust source for a catalogue's interfaces, to be included by a crate that has `serde` and `serde_bytes`.
//!
//! Messages become plain structs that implement the runtime's `Message`; services and actions become marker structs that
//! implement `Service` and `Action` and tie their messages together.

mod code;

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::hash::rihs01;
use crate::model::{FieldType, Interface, InterfaceKind, TypeName};

/// What to generate, and how the generated code finds the rest.
#[derive(Clone, Debug)]
pub struct Options {
    /// ROS packages to generate. What they refer to in other packages is looked for in `runtime`.
    pub packages: Vec<String>,
    /// Rust path of the crate with the traits and the other packages: `crate` or `::ros_interfaces`.
    pub runtime: String,
    /// For a crate that is one ROS package: `crate::msg::Type` instead of `crate::<package>::msg::Type`.
    pub flat: bool,
}

impl Options {
    fn path(&self, name: &TypeName) -> String {
        let (package, rust) = (&name.package, rust_type_name(name));
        match (self.packages.contains(package), self.flat) {
            (true, true) => format!("crate::{}::{rust}", name.namespace),
            (true, false) => format!("crate::{package}::{}::{rust}", name.namespace),
            (false, _) => format!("{}::{package}::{}::{rust}", self.runtime, name.namespace),
        }
    }
}

/// The Rust name of a ROS type: its name without underscores.
pub fn rust_type_name(name: &TypeName) -> String {
    name.name.replace('_', "")
}

/// Writes the source of all packages of `options`, one module a package (none when flat) and one a namespace in it.
///
/// # Errors
/// A type that is referred to is not in the catalogue.
pub fn generate(catalogue: &Catalogue, options: &Options) -> Result<String, Error> {
    let mut modules: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for interface in catalogue.interfaces().filter(|i| options.packages.contains(&i.name.package)) {
        let key = (interface.name.package.as_str(), interface.name.namespace.as_str());
        modules.entry(key).or_default().push_str(&interface_source(catalogue, options, interface)?);
    }
    let mut packages: BTreeMap<&str, String> = BTreeMap::new();
    for ((package, namespace), body) in &modules {
        let what = match *namespace {
            "srv" => "Services",
            "action" => "Actions",
            _ => "Messages",
        };
        let module = format!("/// {what} of `{package}`.\n#[allow(clippy::all)]\npub mod {namespace} {{\n{body}}}\n");
        packages.entry(package).or_default().push_str(&module);
    }
    let mut source = String::new();
    for (package, body) in packages {
        if options.flat {
            source.push_str(&body);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(source, "/// The ROS package `{package}`.\npub mod {package} {{\n{body}}}\n");
        }
    }
    Ok(source)
}

fn interface_source(catalogue: &Catalogue, options: &Options, interface: &Interface) -> Result<String, Error> {
    let mut source = String::new();
    for part in &interface.parts {
        source.push_str(&code::struct_source(catalogue, options, part)?);
    }
    match interface.kind {
        InterfaceKind::Message => {}
        InterfaceKind::Service => source.push_str(&service_source(catalogue, options, &interface.name)?),
        InterfaceKind::Action => source.push_str(&action_source(catalogue, options, &interface.name)?),
    }
    Ok(source)
}

fn service_source(catalogue: &Catalogue, options: &Options, name: &TypeName) -> Result<String, Error> {
    let (rust, runtime) = (rust_type_name(name), &options.runtime);
    let hash = rihs01(catalogue, name)?;
    Ok(format!(
        "/// The service `{name}`.\n#[derive(Clone, Copy, Debug)]\npub struct {rust};\n\
         impl {runtime}::Service for {rust} {{\n    type Request = {rust}Request;\n    type Response = {rust}Response;\n    \
         const TYPE_NAME: &'static str = \"{name}\";\n    const RIHS01: &'static str = \"{hash}\";\n}}\n"
    ))
}

fn action_source(catalogue: &Catalogue, options: &Options, name: &TypeName) -> Result<String, Error> {
    let mut source = String::new();
    let derived = ["_SendGoal_Request", "_SendGoal_Response", "_GetResult_Request", "_GetResult_Response", "_FeedbackMessage"];
    for suffix in derived {
        let part = name.with_suffix(suffix);
        let part = catalogue.get(&part).ok_or_else(|| Error::NotLoaded(part.to_string()))?;
        source.push_str(&code::struct_source(catalogue, options, part)?);
    }
    source.push_str(&service_source(catalogue, options, &name.with_suffix("_SendGoal"))?);
    source.push_str(&service_source(catalogue, options, &name.with_suffix("_GetResult"))?);
    let hash = rihs01(catalogue, name)?;
    let uuid = options.path(&TypeName::new("unique_identifier_msgs", "msg", "UUID"));
    let time = options.path(&TypeName::new("builtin_interfaces", "msg", "Time"));
    source.push_str(
        &ACTION_TEMPLATE
            .replace("@NAME@", &name.to_string())
            .replace("@TYPE@", &rust_type_name(name))
            .replace("@RUNTIME@", &options.runtime)
            .replace("@HASH@", &hash)
            .replace("@UUID@", &uuid)
            .replace("@TIME@", &time),
    );
    Ok(source)
}

const ACTION_TEMPLATE: &str = r#"/// The action `@NAME@`.
#[derive(Clone, Copy, Debug)]
pub struct @TYPE@;
impl @RUNTIME@::Action for @TYPE@ {
    type Goal = @TYPE@Goal;
    type Result = @TYPE@Result;
    type Feedback = @TYPE@Feedback;
    type SendGoal = @TYPE@SendGoal;
    type GetResult = @TYPE@GetResult;
    type FeedbackMessage = @TYPE@FeedbackMessage;
    const TYPE_NAME: &'static str = "@NAME@";
    const RIHS01: &'static str = "@HASH@";
    fn send_goal_request(goal_id: @UUID@, goal: @TYPE@Goal) -> @TYPE@SendGoalRequest {
        @TYPE@SendGoalRequest { goal_id, goal }
    }
    fn split_send_goal_request(request: @TYPE@SendGoalRequest) -> (@UUID@, @TYPE@Goal) {
        (request.goal_id, request.goal)
    }
    fn send_goal_response(accepted: bool, stamp: @TIME@) -> @TYPE@SendGoalResponse {
        @TYPE@SendGoalResponse { accepted, stamp }
    }
    fn split_send_goal_response(response: @TYPE@SendGoalResponse) -> (bool, @TIME@) {
        (response.accepted, response.stamp)
    }
    fn get_result_request(goal_id: @UUID@) -> @TYPE@GetResultRequest {
        @TYPE@GetResultRequest { goal_id }
    }
    fn split_get_result_request(request: @TYPE@GetResultRequest) -> @UUID@ {
        request.goal_id
    }
    fn get_result_response(status: i8, result: @TYPE@Result) -> @TYPE@GetResultResponse {
        @TYPE@GetResultResponse { status, result }
    }
    fn split_get_result_response(response: @TYPE@GetResultResponse) -> (i8, @TYPE@Result) {
        (response.status, response.result)
    }
    fn feedback_message(goal_id: @UUID@, feedback: @TYPE@Feedback) -> @TYPE@FeedbackMessage {
        @TYPE@FeedbackMessage { goal_id, feedback }
    }
    fn split_feedback_message(message: @TYPE@FeedbackMessage) -> (@UUID@, @TYPE@Feedback) {
        (message.goal_id, message.feedback)
    }
}
"#;

/// The Rust path of a field's element type.
fn element_type(options: &Options, kind: &FieldType) -> String {
    match kind {
        FieldType::Primitive(primitive) => primitive.rust_name().to_owned(),
        FieldType::String { .. } => "::std::string::String".to_owned(),
        FieldType::Nested(name) => options.path(name),
    }
}
