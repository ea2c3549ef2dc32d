//! Listeners: from a socket to a request with the facts of its connection, and from an answer back to bytes.
//!
//! The [`Handler`] does the rest. Limits are enforced here, once, in front of every policy. A connection costs one task and no
//! timer: one reaper regularly checks all of them ([`guard`]).

mod body;
mod conn;
mod exchange;
mod guard;
mod outgoing;
mod peers;
pub(crate) mod proxies;
mod run;
mod socket;
mod strict;
mod tls;
mod tuned;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::data::certificate::Certificate;
use crate::policy::answer::Answering;
use crate::services::config::{Limits, ListenAddress, Listeners};
use crate::services::telemetry::Correlation;

use body::Memory;
use guard::Guards;
use peers::{Peer, Peers};
use proxies::Proxies;
use tuned::Tuned;

pub use tls::TlsServer;
pub use tuned::Tuner;

/// The facts about a connection that apply to its requests.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The peer; for a request, the origin according to trusted proxies.
    pub remote: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Whether it is TLS.
    pub secure: bool,
    /// For a request: whether `remote` is known to be the client. It is not if a proxy forwarded the request and no trusted one
    /// says for whom. Then `remote` is the proxy, and what only its address may see must not be shown.
    pub direct: bool,
    /// The peer's certificate. The peer has proven that it has the key; trust is not decided.
    pub client_certificate: Option<Arc<Certificate>>,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; its body has been read within the limits. What has begun runs to its end, also if nobody waits for it. The head's
    /// parts may be taken out of it: it is lent, because it is large and goes through several hands.
    fn handle(&self, head: &mut request::Parts, body: Bytes, conn: &ConnInfo, correlation: &Correlation) -> Answering;

    /// A request of this peer was refused before it got here, with this status.
    fn refused(&self, _status: http::StatusCode, _peer: IpAddr, _correlation: &Correlation) {}

    /// The answer to a request whose header was read and which is refused with this status, for this reason; `None` for the usual one.
    fn refuse(
        &self,
        _head: &mut request::Parts,
        _conn: &ConnInfo,
        _status: http::StatusCode,
        _reason: &'static str,
        _correlation: &Correlation,
    ) -> Option<Answering> {
        None
    }
}

/// Bound listeners, not yet accepting.
pub struct Server {
    https: Option<(TcpListener, Arc<TlsServer>)>,
    http: Option<TcpListener>,
    limits: Arc<Limits>,
    proxies: Arc<Proxies>,
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explain(.error))]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there (is a gateway running already?); choose another with --https or --http".to_owned()
        }
        io::ErrorKind::PermissionDenied => "not permitted (ports below 1024 need a privilege)".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    }
}

impl BindError {
    /// Whether somebody else listens there.
    pub fn is_in_use(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

/// Whether a listener could be opened: opens it and closes it again, before anybody could connect.
pub fn probe(listener: ListenAddress) -> Result<(), BindError> {
    let ListenAddress::At(address) = listener else { return Ok(()) };
    std::net::TcpListener::bind(address).map(drop).map_err(|error| BindError { address, error })
}

impl Server {
    /// Opens the listeners. Must be called within a runtime.
    pub fn bind(listeners: &Listeners, tls: &Arc<TlsServer>, limits: Limits) -> Result<Server, BindError> {
        let https = listen(listeners.https)?.map(|listener| (listener, Arc::clone(tls)));
        let proxies = Arc::new(Proxies::new(listeners));
        Ok(Server { https, http: listen(listeners.http)?, limits: Arc::new(limits), proxies })
    }

    /// Opens one listener without TLS, behind no proxy. Must be called within a runtime.
    pub fn bind_plain(address: SocketAddr, limits: Limits) -> Result<Server, BindError> {
        let none = Listeners { https: ListenAddress::Off, http: ListenAddress::Off, ..Listeners::default() };
        let http = listen(ListenAddress::At(address))?;
        Ok(Server { https: None, http, limits: Arc::new(limits), proxies: Arc::new(Proxies::new(&none)) })
    }

    /// Where HTTPS listens.
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where plain HTTP listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Starts to accept connections.
    pub fn start<H: Handler>(self, handler: Arc<H>) -> Running {
        let limits = &*self.limits;
        let most = peers::open_files(limits.max_connections);
        let tuner = Tuner {
            tuned: Arc::new(ArcSwap::from_pointee(Tuned::new(limits.clone()))),
            guards: Arc::new(Guards::new(limits)),
            memory: Memory::new(limits.body_memory.0),
            peers: Arc::new(Peers::new(limits.connections_per_address)),
            permits: Arc::new(Semaphore::new(most)),
            places: Arc::new(Mutex::new(most)),
        };
        let places = Arc::new(Places {
            permits: Arc::clone(&tuner.permits),
            peers: Arc::clone(&tuner.peers),
            proxies: Arc::clone(&self.proxies),
        });
        let guards = Arc::clone(&tuner.guards);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(conn::Shared::new(handler, &tuner, self.proxies));
        if let Some((listener, tls)) = self.https {
            tokio::spawn(accept(listener, Some(tls), Arc::clone(&shared), Arc::clone(&places), stopped.clone()));
        }
        if let Some(listener) = self.http {
            tokio::spawn(accept(listener, None, shared, places, stopped.clone()));
        }
        tokio::spawn(Arc::clone(&guards).reap(stopped));
        Running { guards, stop, patience: self.limits.shutdown_timeout.0, tuner }
    }
}

fn listen(address: ListenAddress) -> Result<Option<TcpListener>, BindError> {
    let ListenAddress::At(address) = address else { return Ok(None) };
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for connections of the previous process.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1024)
    };
    open().map(Some).map_err(|error| BindError { address, error })
}

/// Who may connect.
struct Places {
    permits: Arc<Semaphore>,
    peers: Arc<Peers>,
    proxies: Arc<Proxies>,
}

impl Places {
    /// The place for one more connection from this address, if allowed. Proxies are not limited, because they serve many clients.
    fn peer(&self, address: IpAddr) -> Result<Option<Peer>, ()> {
        if self.proxies.trusts(address) {
            return Ok(None);
        }
        self.peers.enter(address).map(Some).ok_or(())
    }
}

/// A connection's place among the others, until this is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    _peer: Option<Peer>,
}

async fn accept<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<TlsServer>>,
    shared: Arc<conn::Shared<H>>,
    places: Arc<Places>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        // One connection may be accepted before there is a place for it; further ones wait in the backlog.
        let next = async {
            match listener.accept().await {
                Ok(accepted) => {
                    Arc::clone(&places.permits).acquire_owned().await.map(|permit| (accepted, permit)).map_err(io::Error::other)
                }
                Err(error) => Err(error),
            }
        };
        let accepted = tokio::select! {
            next = next => next,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok(((stream, remote), permit)) => match places.peer(remote.ip()) {
                Ok(peer) => {
                    let place = Place { _permit: permit, _peer: peer };
                    tokio::spawn(conn::serve(stream, remote, tls.clone(), Arc::clone(&shared), place));
                }
                Err(()) => tracing::debug!(%remote, "closed: this address has too many connections"),
            },
            // The peer gave up before the connection was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                // Most likely out of file descriptors. Trying again at once would spin.
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// A running server.
pub struct Running {
    guards: Arc<Guards>,
    stop: watch::Sender<bool>,
    patience: Duration,
    tuner: Tuner,
}

/// Counts a server's connections.
#[derive(Clone)]
pub struct ConnectionCounter(Arc<Guards>);

impl ConnectionCounter {
    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.0.len()
    }

    /// Bytes of answers that no peer has taken yet.
    pub fn unwritten(&self) -> usize {
        self.0.unwritten()
    }
}

impl Running {
    /// Counts connections, even after the server.
    pub fn counter(&self) -> ConnectionCounter {
        ConnectionCounter(Arc::clone(&self.guards))
    }

    /// Changes the limits of new connections.
    pub fn tuner(&self) -> Tuner {
        self.tuner.clone()
    }

    /// Stops accepting, lets running requests finish, and closes every connection. Returns the number of connections that did not
    /// finish in time.
    pub async fn shutdown(self) -> usize {
        let _ = self.stop.send(true);
        self.guards.close_all();
        let drained = async {
            while self.guards.len() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(self.patience, drained).await;
        let left = self.guards.len();
        self.guards.kill_all();
        left
    }
}

#[cfg(test)]
mod tests;
