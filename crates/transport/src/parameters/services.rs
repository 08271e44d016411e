//! The six parameter services of `rcl_interfaces`, once for all carriers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ros_interfaces::Service;
use ros_interfaces::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, ListParametersResult, Parameter, ParameterDescriptor, ParameterType, ParameterValue as RosValue,
    SetParametersResult,
};
use ros_interfaces::rcl_interfaces::srv::{
    DescribeParameters, DescribeParametersResponse, GetParameterTypes, GetParameterTypesResponse, GetParameters, GetParametersResponse,
    ListParameters, ListParametersRequest, ListParametersResponse, SetParameters, SetParametersAtomically, SetParametersAtomicallyResponse,
    SetParametersResponse,
};

use super::server::{Declared, Store};
use super::value::{ParameterValue, Range};
use crate::carriers::NodeId;
use crate::context::Context;
use crate::error::{ParameterError, TransportError};
use crate::service::{ServiceServer, serve_deferred};

/// Serves all six under the node's name.
pub(super) fn serve(
    context: &Context,
    node: &NodeId,
    store: &Arc<Store>,
    resolve: impl Fn(&str) -> Result<String, TransportError>,
) -> Result<Vec<ServiceServer>, TransportError> {
    let host = Host { context, node, store, resolve };
    Ok(vec![
        host.serve::<GetParameters>("~/get_parameters", |store, request| {
            let declared = store.snapshot();
            let value = |name: &String| declared.get(name).map(|entry| value_to_ros(&entry.value)).unwrap_or_default();
            GetParametersResponse { values: request.names.iter().map(value).collect() }
        })?,
        host.serve::<GetParameterTypes>("~/get_parameter_types", |store, request| {
            let declared = store.snapshot();
            let kind = |name: &String| declared.get(name).map_or(ParameterType::PARAMETER_NOT_SET, |entry| type_of(&entry.value));
            GetParameterTypesResponse { types: request.names.iter().map(kind).collect() }
        })?,
        host.serve::<SetParameters>("~/set_parameters", |store, request| SetParametersResponse {
            results: request.parameters.into_iter().map(|parameter| set(store, vec![parameter])).collect(),
        })?,
        host.serve::<SetParametersAtomically>("~/set_parameters_atomically", |store, request| SetParametersAtomicallyResponse {
            result: set(store, request.parameters),
        })?,
        host.serve::<ListParameters>("~/list_parameters", |store, request| ListParametersResponse {
            result: list(&store.snapshot(), &request),
        })?,
        host.serve::<DescribeParameters>("~/describe_parameters", |store, request| {
            let declared = store.snapshot();
            DescribeParametersResponse { descriptors: request.names.iter().map(|name| describe(name, declared.get(name))).collect() }
        })?,
    ])
}

struct Host<'a, R> {
    context: &'a Context,
    node: &'a NodeId,
    store: &'a Arc<Store>,
    resolve: R,
}

impl<R: Fn(&str) -> Result<String, TransportError>> Host<'_, R> {
    fn serve<S: Service>(&self, name: &str, handler: fn(&Store, S::Request) -> S::Response) -> Result<ServiceServer, TransportError> {
        let store = Arc::clone(self.store);
        serve_deferred::<S>(self.context, self.node, (self.resolve)(name)?, move |request, responder| {
            responder.respond(handler(&store, request));
        })
    }
}

fn set(store: &Store, parameters: Vec<Parameter>) -> SetParametersResult {
    let values = parameters
        .into_iter()
        .map(|Parameter { name, value }| match value_from_ros(value) {
            Some(value) => Ok((name, value)),
            None => Err(ParameterError::Refused { name, reason: "unset values and byte arrays are not supported".to_owned() }),
        })
        .collect::<Result<Vec<_>, _>>();
    match values.and_then(|values| store.set(values)) {
        Ok(()) => SetParametersResult { successful: true, reason: String::new() },
        Err(error) => SetParametersResult { successful: false, reason: error.to_string() },
    }
}

/// The rules of rclcpp: `depth` counts the dots below the prefix, 0 means all.
fn list(declared: &BTreeMap<String, Declared>, request: &ListParametersRequest) -> ListParametersResult {
    let within =
        |below: &str| request.depth == ListParametersRequest::DEPTH_RECURSIVE || (below.matches('.').count() as u64) < request.depth;
    let listed = |name: &&String| {
        if request.prefixes.is_empty() {
            return within(name);
        }
        request.prefixes.iter().any(|prefix| match name.strip_prefix(prefix.as_str()) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('.').is_some_and(within),
            None => false,
        })
    };
    let names: Vec<String> = declared.keys().filter(listed).cloned().collect();
    let prefixes: BTreeSet<String> = names.iter().filter_map(|name| name.rsplit_once('.')).map(|(prefix, _)| prefix.to_owned()).collect();
    ListParametersResult { names, prefixes: prefixes.into_iter().collect() }
}

fn describe(name: &str, declared: Option<&Declared>) -> ParameterDescriptor {
    let mut descriptor = ParameterDescriptor { name: name.to_owned(), ..ParameterDescriptor::default() };
    let Some(Declared { spec, value }) = declared else { return descriptor };
    descriptor.r#type = type_of(value);
    descriptor.description = spec.description.clone();
    descriptor.read_only = spec.read_only;
    if !spec.choices.is_empty() {
        descriptor.additional_constraints = format!("one of {}", spec.choices.join(", "));
    }
    match &spec.range {
        Some(Range::Integer { min, max }) => {
            descriptor.integer_range = vec![IntegerRange { from_value: *min, to_value: *max, step: 0 }];
        }
        Some(Range::Double { min, max }) => {
            descriptor.floating_point_range = vec![FloatingPointRange { from_value: *min, to_value: *max, step: 0.0 }];
        }
        None => {}
    }
    descriptor
}

fn type_of(value: &ParameterValue) -> u8 {
    match value {
        ParameterValue::Bool(_) => ParameterType::PARAMETER_BOOL,
        ParameterValue::Integer(_) => ParameterType::PARAMETER_INTEGER,
        ParameterValue::Double(_) => ParameterType::PARAMETER_DOUBLE,
        ParameterValue::String(_) => ParameterType::PARAMETER_STRING,
        ParameterValue::BoolArray(_) => ParameterType::PARAMETER_BOOL_ARRAY,
        ParameterValue::IntegerArray(_) => ParameterType::PARAMETER_INTEGER_ARRAY,
        ParameterValue::DoubleArray(_) => ParameterType::PARAMETER_DOUBLE_ARRAY,
        ParameterValue::StringArray(_) => ParameterType::PARAMETER_STRING_ARRAY,
    }
}

pub(super) fn value_to_ros(value: &ParameterValue) -> RosValue {
    let mut ros = RosValue { r#type: type_of(value), ..RosValue::default() };
    match value {
        ParameterValue::Bool(value) => ros.bool_value = *value,
        ParameterValue::Integer(value) => ros.integer_value = *value,
        ParameterValue::Double(value) => ros.double_value = *value,
        ParameterValue::String(value) => ros.string_value.clone_from(value),
        ParameterValue::BoolArray(values) => ros.bool_array_value.clone_from(values),
        ParameterValue::IntegerArray(values) => ros.integer_array_value.clone_from(values),
        ParameterValue::DoubleArray(values) => ros.double_array_value.clone_from(values),
        ParameterValue::StringArray(values) => ros.string_array_value.clone_from(values),
    }
    ros
}

/// `None` for unset values and byte arrays, which no parameter here has.
fn value_from_ros(ros: RosValue) -> Option<ParameterValue> {
    Some(match ros.r#type {
        ParameterType::PARAMETER_BOOL => ParameterValue::Bool(ros.bool_value),
        ParameterType::PARAMETER_INTEGER => ParameterValue::Integer(ros.integer_value),
        ParameterType::PARAMETER_DOUBLE => ParameterValue::Double(ros.double_value),
        ParameterType::PARAMETER_STRING => ParameterValue::String(ros.string_value),
        ParameterType::PARAMETER_BOOL_ARRAY => ParameterValue::BoolArray(ros.bool_array_value),
        ParameterType::PARAMETER_INTEGER_ARRAY => ParameterValue::IntegerArray(ros.integer_array_value),
        ParameterType::PARAMETER_DOUBLE_ARRAY => ParameterValue::DoubleArray(ros.double_array_value),
        ParameterType::PARAMETER_STRING_ARRAY => ParameterValue::StringArray(ros.string_array_value),
        _ => return None,
    })
}
