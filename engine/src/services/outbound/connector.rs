//! Connects: resolves names, checks addresses, and does TCP and TLS within one time limit.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::policy::{Target, Targets, is_localhost};
use super::{CallError, Failed};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Connects, with TLS if the URL says so.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Arc<rustls::ClientConfig>,
    limit: Duration,
    targets: Arc<Targets>,
}

impl Connector {
    pub(super) fn new(mut tls: rustls::ClientConfig, limit: Duration, targets: Arc<Targets>) -> Connector {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Connector { tls: Arc::new(tls), limit, targets }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        // INVARIANT: the rules are checked here again, for the very addresses to connect to; no name is looked up twice.
        let target = match self.targets.check(&uri) {
            Ok(target) => target,
            Err(error) => return Box::pin(async { Err(error.into()) }),
        };
        let mut tcp = HttpConnector::new_with_resolver(Resolver { targets: Arc::clone(&self.targets), target });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        // With several addresses, the first must not use up all the time.
        tcp.set_connect_timeout(Some(limit));
        let connecting = HttpsConnector::from((tcp, Arc::clone(&self.tls))).call(uri);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(Err(error)) if timed_out(&*error) => Err(too_late(limit)),
                Ok(connected) => connected,
                Err(_) => Err(too_late(limit)),
            }
        })
    }
}

fn too_late(limit: Duration) -> Error {
    Box::new(CallError::new(Failed::ConnectTimeout, format!("no connection within {limit:?}")))
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Who knows the addresses of names.
#[derive(Clone, Debug, Default)]
pub(super) enum Names {
    /// The system.
    #[default]
    System,
    /// A test: each look-up, of whatever name, gets the next answer.
    #[cfg(test)]
    Scripted(Arc<std::sync::Mutex<std::collections::VecDeque<Vec<std::net::IpAddr>>>>),
}

impl Names {
    async fn look_up(&self, name: &str, port: u16) -> Vec<SocketAddr> {
        match self {
            Names::System => tokio::net::lookup_host((name, port)).await.map(Iterator::collect).unwrap_or_default(),
            #[cfg(test)]
            Names::Scripted(answers) => {
                let next = answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
                next.unwrap_or_default().into_iter().map(|address| (address, port).into()).collect()
            }
        }
    }
}

/// The addresses of a name to which connections are allowed. A name can lead anywhere, and somewhere else at the next look-up, so
/// rules on addresses are applied here.
pub(super) async fn addresses(targets: &Targets, target: &Target, name: &str) -> Result<Vec<SocketAddr>, CallError> {
    let found: Vec<SocketAddr> = if is_localhost(name) {
        vec![(Ipv4Addr::LOCALHOST, target.port).into(), (Ipv6Addr::LOCALHOST, target.port).into()]
    } else {
        targets.names.look_up(name, target.port).await
    };
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in found {
        match targets.admits(target, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(error) => refused = Some(error),
        }
    }
    match (allowed.is_empty(), refused) {
        (false, _) => Ok(allowed),
        (true, Some(error)) => Err(error),
        (true, None) => Err(CallError::new(Failed::UnknownHost, format!("there is no host `{name}`"))),
    }
}

/// Resolves names for one target.
#[derive(Clone)]
struct Resolver {
    targets: Arc<Targets>,
    target: Target,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, CallError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Resolver { targets, target } = self.clone();
        Box::pin(async move { addresses(&targets, &target, name.as_str()).await.map(Vec::into_iter) })
    }
}
