//! Traces and metrics to a collector of OpenTelemetry, by OTLP over HTTP with JSON (OTLP specification, "OTLP/HTTP"). Off unless settings
//! name a collector. It never holds up a request: what cannot be sent is dropped and counted.

mod encode;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use super::{Host, StartError};
use crate::services::config::Otlp;
use crate::services::outbound::{Call, Outbound};
use crate::services::telemetry::{Span, Tracer, unix_nanos};

/// Spans that are sent together at most.
const BATCH: usize = 512;
/// How long a span waits for others.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a collector may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What is needed to send.
pub(super) struct Exporter {
    settings: Otlp,
    client: Outbound,
    spans: mpsc::Receiver<Span>,
}

/// Sends, until it is told to stop.
pub(super) struct Sending {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

/// The tracer that policies and the front use, and what sends for it; none where no collector is named. `client` trusts what the gateway's
/// other calls trust.
pub(super) fn open(settings: &Otlp, client: Outbound) -> Result<Option<(Arc<Tracer>, Exporter)>, StartError> {
    if settings.endpoint.is_empty() {
        return Ok(None);
    }
    for path in ["/v1/traces", "/v1/metrics"] {
        target(settings, path).map_err(StartError::new)?;
    }
    headers(settings).map_err(StartError::new)?;
    let (tracer, spans) = Tracer::new(settings.traces);
    Ok(Some((Arc::new(tracer), Exporter { settings: settings.clone(), client, spans })))
}

fn target(settings: &Otlp, path: &str) -> Result<Uri, String> {
    let base = settings.endpoint.trim_end_matches('/');
    let uri = format!("{base}{path}").parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    uri.filter(|uri| uri.host().is_some()).ok_or_else(|| "otlp.endpoint: it must be of the form `https://host:4318`".to_owned())
}

fn headers(settings: &Otlp) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let field = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(&value.0).ok());
        let (name, mut value) = field.ok_or_else(|| format!("otlp.headers: `{name}` is not a header field"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

impl Exporter {
    /// Begins to send.
    pub(super) fn start(self, host: &Arc<Host>) -> Sending {
        let (stop, stopped) = oneshot::channel();
        Sending { stop, task: tokio::spawn(self.run(Arc::downgrade(host), stopped)) }
    }

    async fn run(mut self, host: std::sync::Weak<Host>, mut stopped: oneshot::Receiver<()>) {
        let mut metrics = tokio::time::interval(self.settings.metrics.0.max(Duration::from_secs(1)));
        metrics.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        metrics.tick().await; // the first one comes at once
        let mut batches = tokio::time::interval(PATIENCE);
        let mut waiting: Vec<Span> = Vec::new();
        let mut complained = false;
        loop {
            let end = tokio::select! {
                _ = &mut stopped => true,
                received = self.spans.recv_many(&mut waiting, BATCH) => received == 0,
                _ = batches.tick() => {
                    self.traces(&mut waiting, &mut complained).await;
                    false
                }
                _ = metrics.tick() => {
                    self.metrics(&host, &mut complained).await;
                    false
                }
            };
            if end {
                while waiting.len() < BATCH * 16 && self.spans.try_recv().map(|span| waiting.push(span)).is_ok() {}
                self.traces(&mut waiting, &mut complained).await;
                self.metrics(&host, &mut complained).await;
                return;
            }
            if waiting.len() >= BATCH {
                self.traces(&mut waiting, &mut complained).await;
            }
        }
    }

    async fn traces(&self, waiting: &mut Vec<Span>, complained: &mut bool) {
        if !waiting.is_empty() {
            let body = encode::traces(waiting);
            waiting.clear();
            self.send("/v1/traces", &body, complained).await;
        }
    }

    async fn metrics(&self, host: &std::sync::Weak<Host>, complained: &mut bool) {
        if let Some(host) = host.upgrade() {
            let body = encode::metrics(&host.metrics.page(), unix_nanos());
            self.send("/v1/metrics", &body, complained).await;
        }
    }

    async fn send(&self, path: &str, body: &Json, complained: &mut bool) {
        let (Ok(uri), Ok(set)) = (target(&self.settings, path), headers(&self.settings)) else { return };
        let call = Call {
            uri,
            method: Method::POST,
            headers: HeaderMap::new(),
            set,
            body: Bytes::from(body.to_string()),
            identity: None,
            trust: None,
            timeout: Some(LIMIT),
            max_bytes: Some(1 << 20),
            public_only: false,
        };
        let wrong = match self.client.call(call).await {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match wrong {
            // Once is enough until it works again.
            Some(error) if !std::mem::replace(complained, true) => {
                tracing::warn!("nothing can be sent to the collector at {}: {error}", self.settings.endpoint);
            }
            Some(_) => {}
            None => *complained = false,
        }
    }
}

impl Sending {
    /// Sends what waits, for this long at most.
    pub(super) async fn finish(self, patience: Duration) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(patience, self.task).await;
    }
}
