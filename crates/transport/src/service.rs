//! Services: a request, a response, a deadline.
//!
//! Every server has a thread of its own, which starts with the first request; so a client's deadline holds
//! whatever the server does, and a server may call other services.

use std::marker::PhantomData;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use ros_interfaces::{Message, Service};

use crate::activity::Token;
use crate::carriers::{Endpoint, NodeId, RawClient, Reply, ServiceEndpoint};
use crate::context::{Context, ContextInner, WeakContext};
use crate::error::{CallError, TransportError};
use crate::sync::lock;

/// How often a client without a server looks for one.
const SERVER_POLL: Duration = Duration::from_millis(2);

/// Answers one request, now or later, from any thread. Dropped without an answer, the caller gets an error
/// (within the process) or its timeout (beyond).
pub(crate) struct Responder<S: Service> {
    send: Box<dyn FnOnce(S::Response) + Send>,
    _busy: Token,
}

impl<S: Service> Responder<S> {
    pub(crate) fn respond(self, response: S::Response) {
        (self.send)(response);
    }
}

type Handler<S> = Box<dyn Fn(<S as Service>::Request, Responder<S>) + Send + Sync>;
type Job<S> = (<S as Service>::Request, Responder<S>);

/// One server of this process, typed.
pub(crate) struct Slot<S: Service> {
    name: String,
    handler: Arc<Handler<S>>,
    /// The thread's queue; made with the first request.
    queue: Mutex<Option<Sender<Job<S>>>>,
}

impl<S: Service> Slot<S> {
    fn push(&self, request: S::Request, responder: Responder<S>) -> Result<(), TransportError> {
        let mut queue = lock(&self.queue);
        if queue.is_none() {
            *queue = Some(self.start()?);
        }
        if let Some(queue) = queue.as_ref() {
            // The thread lives as long as the queue; should it have panicked, the responder is dropped and the
            // caller is told.
            drop(queue.send((request, responder)));
        }
        Ok(())
    }

    fn start(&self) -> Result<Sender<Job<S>>, TransportError> {
        let (queue, jobs) = channel::<Job<S>>();
        let handler = Arc::clone(&self.handler);
        let name = format!("srv {}", self.name);
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                for (request, responder) in jobs {
                    handler(request, responder);
                }
            })
            .map_err(|source| TransportError::Thread { name, source })?;
        Ok(queue)
    }

    /// A request from another participant.
    fn receive(&self, context: &ContextInner, cdr: &[u8], reply: Reply) {
        let request = match S::Request::from_cdr(cdr) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(service = %self.name, %error, "a request from outside is not valid and was dropped");
                return;
            }
        };
        let name = self.name.clone();
        let send = Box::new(move |response: S::Response| match response.to_cdr() {
            Ok(cdr) => reply(cdr),
            Err(error) => tracing::warn!(service = %name, %error, "a response cannot be serialised"),
        });
        let responder = Responder { send, _busy: context.activity.begin() };
        if let Err(error) = self.push(request, responder) {
            tracing::error!(service = %self.name, %error, "a request cannot be served");
        }
    }
}

/// A service of this process; dropping the handle ends it.
#[must_use = "dropping the handle ends the service"]
pub struct ServiceServer {
    name: String,
    context: WeakContext,
    /// Dropped before the name is free again.
    endpoint: Option<Endpoint>,
}

impl ServiceServer {
    /// Fully qualified name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ServiceServer {
    fn drop(&mut self) {
        drop(self.endpoint.take());
        if let Some(context) = self.context.upgrade() {
            context.remove_service(&self.name);
        }
    }
}

/// Serves `name` (fully qualified); the handler may answer later.
pub(crate) fn serve_deferred<S: Service>(
    context: &Context,
    node: &NodeId,
    name: String,
    handler: impl Fn(S::Request, Responder<S>) + Send + Sync + 'static,
) -> Result<ServiceServer, TransportError> {
    let slot = Arc::new(Slot::<S> { name: name.clone(), handler: Arc::new(Box::new(handler)), queue: Mutex::default() });
    context.inner.insert_service(&name, S::TYPE_NAME, Arc::clone(&slot) as Arc<dyn std::any::Any + Send + Sync>)?;
    let mut server = ServiceServer { name: name.clone(), context: context.downgrade(), endpoint: None };
    if let Some(link) = context.inner.link()? {
        let service = ServiceEndpoint { name, type_name: S::TYPE_NAME };
        let weak = context.downgrade();
        let on_request = Arc::new(move |cdr: &[u8], reply: Reply| {
            if let Some(context) = weak.upgrade() {
                slot.receive(&context, cdr, reply);
            }
        });
        server.endpoint = Some(link.server(node, &service, on_request)?);
    }
    Ok(server)
}

/// Calls one service, in this process or another. Clones share the client.
pub struct Client<S: Service> {
    shared: Arc<ClientShared>,
    _service: PhantomData<fn() -> S>,
}

impl<S: Service> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), _service: PhantomData }
    }
}

/// The part of a client that does not depend on the service's type.
pub(crate) struct ClientShared {
    context: Context,
    node: NodeId,
    endpoint: ServiceEndpoint,
    remote: Mutex<Option<Arc<dyn RawClient>>>,
}

impl ClientShared {
    /// The client beyond the process, made at first need; `None` without a carrier.
    pub(crate) fn remote(&self) -> Result<Option<Arc<dyn RawClient>>, TransportError> {
        let Some(link) = self.context.inner.link()? else { return Ok(None) };
        let mut remote = lock(&self.remote);
        if remote.is_none() {
            *remote = Some(link.client(&self.node, &self.endpoint)?);
        }
        Ok(remote.clone())
    }

    /// Makes the client beyond the process unless this process serves the name, so that it is matched before
    /// the first call.
    pub(crate) fn prepare(&self) -> Result<(), TransportError> {
        if self.context.inner.service(&self.endpoint.name).is_none() {
            self.remote()?;
        }
        Ok(())
    }
}

pub(crate) fn client<S: Service>(context: &Context, node: &NodeId, name: String) -> Result<Client<S>, TransportError> {
    let endpoint = ServiceEndpoint { name, type_name: S::TYPE_NAME };
    let shared = Arc::new(ClientShared { context: context.clone(), node: node.clone(), endpoint, remote: Mutex::default() });
    context.inner.add_client(Arc::downgrade(&shared))?;
    Ok(Client { shared, _service: PhantomData })
}

/// Where a request goes.
enum Target<S: Service> {
    Local(Arc<Slot<S>>),
    Remote(Arc<dyn RawClient>),
}

impl<S: Service> Client<S> {
    /// Fully qualified name of the service.
    pub fn service(&self) -> &str {
        &self.shared.endpoint.name
    }

    /// Whether a server is there now, in this process or matched beyond it.
    pub fn server_ready(&self) -> bool {
        matches!(self.find(), Ok(Some(_)))
    }

    /// Waits for a server; whether one came within `timeout`.
    pub fn wait_for_server(&self, timeout: Duration) -> bool {
        self.target(Instant::now() + timeout, timeout).is_ok()
    }

    /// Calls the service and blocks until the response, at most `timeout` (finding a server included).
    ///
    /// # Errors
    /// [`CallError::NoServer`] and [`CallError::Timeout`] when time runs out, never later.
    pub fn call(&self, request: S::Request, timeout: Duration) -> Result<S::Response, CallError> {
        let deadline = Instant::now() + timeout;
        match self.target(deadline, timeout)? {
            Target::Local(slot) => self.call_local(&slot, request, deadline, timeout),
            Target::Remote(remote) => self.call_remote(remote.as_ref(), &request, deadline),
        }
    }

    fn call_local(&self, slot: &Slot<S>, request: S::Request, deadline: Instant, timeout: Duration) -> Result<S::Response, CallError> {
        use std::sync::mpsc::RecvTimeoutError;
        let (send, receive) = sync_channel(1);
        let send = Box::new(move |response| drop(send.try_send(response)));
        slot.push(request, Responder { send, _busy: self.shared.context.activity().begin() })?;
        let left = deadline.saturating_duration_since(Instant::now());
        receive.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => CallError::Timeout { service: self.service().to_owned(), timeout_s: timeout.as_secs_f64() },
            RecvTimeoutError::Disconnected => CallError::ServerGone { service: self.service().to_owned() },
        })
    }

    fn call_remote(&self, remote: &dyn RawClient, request: &S::Request, deadline: Instant) -> Result<S::Response, CallError> {
        let broken = |source| CallError::Cdr { service: self.service().to_owned(), source };
        let _busy = self.shared.context.activity().begin();
        let response = remote.call(request.to_cdr().map_err(broken)?, deadline)?;
        S::Response::from_cdr(&response).map_err(broken)
    }

    fn find(&self) -> Result<Option<Target<S>>, TransportError> {
        let endpoint = &self.shared.endpoint;
        if let Some((type_name, slot)) = self.shared.context.inner.service(&endpoint.name) {
            return match slot.downcast::<Slot<S>>() {
                Ok(slot) => Ok(Some(Target::Local(slot))),
                Err(_) => Err(TransportError::TypeMismatch {
                    name: endpoint.name.clone(),
                    existing: type_name.to_owned(),
                    requested: endpoint.type_name.to_owned(),
                }),
            };
        }
        Ok(self.shared.remote()?.filter(|remote| remote.server_ready()).map(Target::Remote))
    }

    fn target(&self, deadline: Instant, timeout: Duration) -> Result<Target<S>, CallError> {
        loop {
            if let Some(target) = self.find()? {
                return Ok(target);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CallError::NoServer { service: self.service().to_owned(), timeout_s: timeout.as_secs_f64() });
            }
            std::thread::sleep(SERVER_POLL.min(left));
        }
    }
}

/// Clients that the context prepares when it starts.
pub(crate) type WeakClient = Weak<ClientShared>;
