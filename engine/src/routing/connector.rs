//! Connecting: names to addresses, addresses checked, TCP and TLS within one time limit.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::policy::is_private;
use super::{CallError, Failed};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Connects, over TLS where the URL says so.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector<Resolver>>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: rustls::ClientConfig, limit: Duration, private: bool) -> Connector {
        let mut tcp = HttpConnector::new_with_resolver(Resolver { private });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        // Of several addresses the first must not use up all the time.
        tcp.set_connect_timeout(Some(limit));
        let inner = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(tcp);
        Connector { inner, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
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

/// Names to addresses, by the system. Addresses that may not be called are left out here rather than before: a name can lead anywhere,
/// and elsewhere the next time it is asked for.
#[derive(Clone)]
pub(super) struct Resolver {
    private: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, CallError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
            if found.is_empty() {
                return Err(CallError::new(Failed::UnknownHost, format!("there is no host `{name}`")));
            }
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| private || !is_private(address.ip())).collect();
            if allowed.is_empty() {
                let detail = format!("`{name}` has private addresses only, and outbound.private_targets is off");
                return Err(CallError::new(Failed::BadUrl, detail));
            }
            Ok(allowed.into_iter())
        })
    }
}
