//! All listeners of a node: bind, serve, shut down.
//!
//! Binding is a step of its own, so that a port in use is known before anything else is started,
//! and a port chosen by the system before it is advertised.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chronik_env::{Clock, Env, net::TcpStream};
use chronik_types::Monotonic;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    CloseReason, Connection, ListenerInfo, ListenerOptions, Metrics, Options, RequestMemory,
    Service,
    driver::{self, Ended},
    limits::{ConnectionLimits, Place, Refused},
    listener::{self, Listener},
    metrics::add,
};

/// After the drain deadline: how long closed connections may take to notice.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// Complaints that clients can cause are logged at most this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "{listener}: the port is in use; stop the process that listens there (`ss -ltnp` names it) \
         or set another port in `listeners`"
    )]
    InUse {
        /// The listener as configured.
        listener: String,
    },
    /// Ports below 1024 need a privilege.
    #[error(
        "{listener}: this user may not listen there; choose a port above 1023 or give the binary \
         CAP_NET_BIND_SERVICE"
    )]
    NotAllowed {
        /// The listener as configured.
        listener: String,
    },
    /// The address is another machine's.
    #[error(
        "{listener}: this machine does not have that address; `listeners` takes an address of this \
         machine, or none for all of them; what clients connect to belongs into \
         `advertised.listeners`"
    )]
    NotHere {
        /// The listener as configured.
        listener: String,
    },
    /// The host name means nothing here.
    #[error("{listener}: the host name cannot be resolved; correct it in `listeners`")]
    Unresolved {
        /// The listener as configured.
        listener: String,
    },
    /// Anything else.
    #[error("{listener}: {error}")]
    Other {
        /// The listener as configured.
        listener: String,
        /// What the system said.
        error: io::Error,
    },
}

impl BindError {
    pub(crate) fn new(options: &ListenerOptions, error: io::Error) -> Self {
        let listener = describe(options);
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { listener },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { listener },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { listener },
            _ => Self::Other { listener, error },
        }
    }

    pub(crate) fn unresolved(options: &ListenerOptions) -> Self {
        Self::Unresolved { listener: describe(options) }
    }
}

fn describe(options: &ListenerOptions) -> String {
    format!("listener {}://{}:{}", options.name, options.host, options.port)
}

/// Listeners that are bound and not yet served; clients that connect wait.
pub struct Server {
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    options: Options,
    clock: Arc<dyn Clock>,
    limits: Arc<ConnectionLimits>,
    memory: Arc<RequestMemory>,
    metrics: Arc<Metrics>,
    connections: Connections,
    complained: Mutex<Option<Monotonic>>,
}

/// The connections that are open.
#[derive(Default)]
struct Connections {
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    none_left: Notify,
}

/// Binds and serves in one step; see [`Server`].
///
/// # Errors
/// When a listener cannot be bound; nothing is served then.
pub async fn serve<S: Service + ?Sized>(
    options: Options,
    service: Arc<S>,
    env: &Env,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BindError> {
    Server::bind(options, env).await?.serve(service, shutdown).await;
    Ok(())
}

impl Server {
    /// Binds every listener, or none.
    ///
    /// # Errors
    /// The first listener that cannot be bound.
    pub async fn bind(options: Options, env: &Env) -> Result<Self, BindError> {
        let mut listeners = Vec::new();
        for listener in &options.listeners {
            listeners.push(Listener::bind(listener).await?);
        }
        let shared = Shared {
            clock: Arc::clone(&env.clock),
            limits: ConnectionLimits::new(&options),
            memory: RequestMemory::new(
                options.request_memory_bytes,
                options.socket_request_max_bytes,
            ),
            metrics: Arc::default(),
            connections: Connections::default(),
            complained: Mutex::new(None),
            options,
        };
        Ok(Self { listeners, shared: Arc::new(shared) })
    }

    /// The listeners in the order of the options.
    #[must_use]
    pub fn listeners(&self) -> Vec<Arc<ListenerInfo>> {
        self.listeners.iter().map(|listener| Arc::clone(&listener.info)).collect()
    }

    /// The counters of all listeners.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// The budget of all listeners.
    #[must_use]
    pub fn memory(&self) -> Arc<RequestMemory> {
        Arc::clone(&self.shared.memory)
    }

    /// Serves until `shutdown` is done. Then nobody is accepted any more, requests in flight may
    /// finish within [`Options::drain`], and every connection is closed.
    pub async fn serve<S: Service + ?Sized>(
        self,
        service: Arc<S>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let Self { listeners, shared } = self;
        let accepting = join_all(listeners.iter().map(|listener| {
            let take = |stream, peer| shared.take(stream, peer, &listener.info, &service);
            listener.accept_all(take, |error| shared.accept_failed(error))
        }));
        tokio::select! {
            _ = accepting => {}
            () = shutdown => {}
        }
        drop(listeners);
        shared.connections.each(Connection::drain);
        if !shared.connections.wait_for_none(shared.options.drain).await {
            shared.connections.each(Connection::close);
            shared.connections.wait_for_none(CLOSE_WAIT).await;
        }
    }
}

impl Shared {
    fn take<S: Service + ?Sized>(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        listener: &Arc<ListenerInfo>,
        service: &Arc<S>,
    ) {
        // Clients must not be able to keep the nodes from each other. Where nodes come in at the
        // only listener they cannot be told from clients (Kafka protects its own the same way).
        let protected = listener.internal && self.options.listeners.len() > 1;
        let place = match self.limits.enter(peer, protected) {
            Ok(place) => place,
            Err(refused) => return self.refuse(refused, peer),
        };
        listener::prepare(&stream);
        add(&self.metrics.accepted, 1);
        let connection = self.connections.add(peer, listener, &*self.clock);
        let task = Arc::clone(self).run(stream, connection, place, Arc::clone(service));
        tokio::spawn(task);
    }

    async fn run<S: Service + ?Sized>(
        self: Arc<Self>,
        stream: TcpStream,
        connection: Arc<Connection>,
        place: Place,
        service: Arc<S>,
    ) {
        let memory = Arc::clone(&self.memory);
        let served =
            driver::run(stream, &*service, &connection, &self.options, memory, &self.metrics);
        let reason = match served.await {
            Ended::Closed(reason) => reason,
            Ended::Internal { io, already_read } => tokio::select! {
                biased;
                () = connection.closing() => CloseReason::Shutdown,
                () = service.internal(&connection, io, already_read) => CloseReason::Internal,
            },
        };
        tracing::debug!(?connection, reason = reason.label(), "connection closed");
        self.metrics.count_closed(reason);
        drop(place);
        self.connections.remove(&connection);
    }

    fn refuse(&self, refused: Refused, peer: SocketAddr) {
        let (counter, setting) = match refused {
            Refused::Total => (&self.metrics.refused_total, "max.connections"),
            Refused::Address => (&self.metrics.refused_per_ip, "max.connections.per.ip"),
        };
        add(counter, 1);
        if self.may_complain() {
            tracing::warn!(%peer, "connection refused: {setting} is reached");
        }
    }

    fn accept_failed(&self, error: &io::Error) {
        add(&self.metrics.accept_errors, 1);
        if self.may_complain() {
            tracing::error!(
                %error,
                "cannot accept connections; if file descriptors are short, raise `ulimit -n`"
            );
        }
    }

    fn may_complain(&self) -> bool {
        let now = self.clock.monotonic();
        let mut last = self.complained.lock();
        let may = last.is_none_or(|last| now.since(last) >= COMPLAIN_EVERY);
        if may {
            *last = Some(now);
        }
        may
    }
}

impl Connections {
    fn add(
        &self,
        peer: SocketAddr,
        listener: &Arc<ListenerInfo>,
        clock: &dyn Clock,
    ) -> Arc<Connection> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Arc::new(Connection::new(id, peer, Arc::clone(listener), clock.wall()));
        self.open.lock().insert(id, Arc::clone(&connection));
        connection
    }

    fn remove(&self, connection: &Connection) {
        let mut open = self.open.lock();
        open.remove(&connection.id);
        if open.is_empty() {
            self.none_left.notify_waiters();
        }
    }

    fn each(&self, act: impl Fn(&Connection)) {
        self.open.lock().values().for_each(|connection| act(connection));
    }

    /// Whether no connection is left before `patience` ends.
    async fn wait_for_none(&self, patience: Duration) -> bool {
        let none_left = async {
            loop {
                let notified = self.none_left.notified();
                if self.open.lock().is_empty() {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(patience, none_left).await.is_ok()
    }
}
