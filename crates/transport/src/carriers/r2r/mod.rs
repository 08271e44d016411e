//! A sourced ROS 2 through `r2r`.
//!
//! Topics are raw CDR. Services exist in r2r only as typed wrappers, so [`glue`] turns them into CDR; an
//! action is three services and two topics, of which the glue is made from r2r's action type.
//!
//! An `r2r::Node` is spun on a thread of its own ([`spin`]), which makes all of its endpoints.

pub(crate) mod glue;
mod spin;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use r2r::QosProfile;

use self::glue::Glue;
use self::spin::Spinner;
use super::{Endpoint, Link, NodeId, OnMatch, OnRequest, OnSample, RawClient, RawWriter, ServiceEndpoint, TopicEndpoint};
use crate::context::ContextOptions;
use crate::error::TransportError;
use crate::names;
use crate::qos::{Durability, Qos, Reliability};
use crate::sync::lock;

const CARRIER: &str = "r2r";

fn failed(action: String, reason: &dyn std::fmt::Display) -> TransportError {
    TransportError::Carrier { carrier: CARRIER, action, reason: reason.to_string() }
}

/// All nodes of this process. Domain and discovery are those of the environment, which rcl reads itself.
pub(crate) struct R2rLink {
    context: r2r::Context,
    nodes: Mutex<BTreeMap<NodeId, Arc<Spinner>>>,
    glue: Glue,
}

impl R2rLink {
    pub(crate) fn open(options: &ContextOptions) -> Result<Self, TransportError> {
        let from_env = ContextOptions::from_env()?;
        if (options.domain_id, options.discovery) != (from_env.domain_id, from_env.discovery) {
            return Err(TransportError::NotCarried {
                carrier: CARRIER,
                reason: "rcl takes domain and discovery range from ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE; \
                         set those instead of the options"
                    .to_owned(),
            });
        }
        let context = r2r::Context::create().map_err(|error| failed("open the ROS context".to_owned(), &error))?;
        Ok(Self { context, nodes: Mutex::default(), glue: Glue::registered() })
    }

    fn spinner(&self, node: &NodeId) -> Result<Arc<Spinner>, TransportError> {
        lock(&self.nodes).get(node).cloned().ok_or(TransportError::ShutDown)
    }

    fn service_glue(&self, service: &ServiceEndpoint) -> Result<Arc<dyn glue::ServiceGlue>, TransportError> {
        self.glue.service(service.type_name).ok_or_else(|| TransportError::NotCarried {
            carrier: CARRIER,
            reason: format!(
                "{} is a {}, and r2r carries services only through typed wrappers; register its type with \
                 transport::r2r::carry_service before the context is made",
                service.name, service.type_name
            ),
        })
    }
}

impl Link for R2rLink {
    fn add_node(&self, node: &NodeId) -> Result<(), TransportError> {
        let spinner = Spinner::start(self.context.clone(), node)?;
        lock(&self.nodes).insert(node.clone(), Arc::new(spinner));
        Ok(())
    }

    fn remove_node(&self, node: &NodeId) {
        let spinner = lock(&self.nodes).remove(node);
        drop(spinner);
    }

    fn writer(&self, node: &NodeId, topic: &TopicEndpoint, on_match: OnMatch) -> Result<Arc<dyn RawWriter>, TransportError> {
        let spinner = self.spinner(node)?;
        let (topic, glue) = (topic.clone(), self.glue.message(topic.type_name));
        spinner.run(move |host| match glue {
            Some(glue) => glue.writer(host, &topic, on_match),
            None => spin::raw_writer(host, &topic, on_match),
        })?
    }

    fn reader(&self, node: &NodeId, topic: &TopicEndpoint, on_sample: OnSample) -> Result<Endpoint, TransportError> {
        let spinner = self.spinner(node)?;
        let (topic, glue) = (topic.clone(), self.glue.message(topic.type_name));
        spinner.run(move |host| match glue {
            Some(glue) => glue.reader(host, &topic, on_sample),
            None => spin::raw_reader(host, &topic, on_sample),
        })?
    }

    fn leaves_own_out(&self) -> bool {
        // r2r drops the publishers' ids, and has no way to ignore local publications.
        false
    }

    fn server(&self, node: &NodeId, service: &ServiceEndpoint, on_request: OnRequest) -> Result<Endpoint, TransportError> {
        let glue = self.service_glue(service)?;
        let service = service.clone();
        self.spinner(node)?.run(move |host| glue.server(host, &service, on_request))?
    }

    fn client(&self, node: &NodeId, service: &ServiceEndpoint) -> Result<Arc<dyn RawClient>, TransportError> {
        let glue = self.service_glue(service)?;
        let service = service.clone();
        self.spinner(node)?.run(move |host| glue.client(host, &service))?
    }

    fn shutdown(&self) {
        let spinners = std::mem::take(&mut *lock(&self.nodes));
        drop(spinners);
    }
}

fn profile(qos: &Qos) -> QosProfile {
    let profile = QosProfile::default().keep_last(qos.depth.max(1));
    let profile = match qos.reliability {
        Reliability::Reliable => profile.reliable(),
        Reliability::BestEffort => profile.best_effort(),
    };
    match qos.durability {
        Durability::Volatile => profile.volatile(),
        Durability::TransientLocal => profile.transient_local(),
    }
}

/// A node's name in messages and thread names.
fn full_name(node: &NodeId) -> String {
    names::join(&node.namespace, &node.name)
}
