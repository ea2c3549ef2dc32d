//! Spans of traces (OpenTelemetry): what a request, and each call that it led to, took. They are put into a queue here; whoever sends
//! them takes them from it. Where nobody wants traces there is no tracer, and nothing is done for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use smol_str::SmolStr;
use tokio::sync::mpsc;

use super::correlation::{Correlation, Trace};

/// Spans that may wait to be sent. When more come, the newest are dropped and counted.
const QUEUE: usize = 8192;

/// On which end of a request a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A request that came.
    Server,
    /// A call that a policy made.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(SmolStr),
    /// A number.
    Number(i64),
}

impl From<SmolStr> for Attribute {
    fn from(text: SmolStr) -> Self {
        Attribute::Text(text)
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Attribute::Number(number)
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its place.
    pub at: Trace,
    /// The span that it is part of, if any.
    pub parent: Option<u64>,
    /// Which end.
    pub side: Side,
    /// Name: few different ones.
    pub name: SmolStr,
    /// When it began, nanoseconds since the epoch.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
    /// Whether what it is about failed.
    pub failed: bool,
    /// What there is to say of it, by the names of the semantic conventions.
    pub attributes: Vec<(SmolStr, Attribute)>,
}

/// Decides which requests are traced, and takes their spans.
#[derive(Debug)]
pub struct Tracer {
    /// Of 2^63 traces, how many are recorded.
    share: u64,
    queue: mpsc::Sender<Span>,
    dropped: AtomicU64,
}

impl Tracer {
    /// A tracer that records this share of traces (0 to 1), and where its spans come out.
    pub fn new(share: f64) -> (Tracer, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(QUEUE);
        // A share is between 0 and 1, so the product fits.
        let share = (share.clamp(0.0, 1.0) * (1u64 << 63) as f64) as u64;
        (Tracer { share, queue, dropped: AtomicU64::new(0) }, spans)
    }

    /// A request's own place in its trace, and the span that asked for it. Whether it is recorded is decided by the trace, so that all
    /// gateways with the same share decide alike; a trusted proxy may have decided before.
    pub fn begin(&self, correlation: &Correlation) -> (Correlation, Option<u64>) {
        let parent = correlation.trace().copied();
        let id = parent.map_or_else(|| uuid::Uuid::new_v4().as_u128(), |parent| parent.id);
        let wanted = correlation.is_trusted() && parent.is_some_and(|parent| parent.sampled);
        // The last 56 bits are random in most traces; others are in none of ours (W3C Trace Context Level 2, section 3.2.2.3).
        let sampled = wanted || (id as u64 & ((1 << 56) - 1)) << 7 < self.share;
        (correlation.at(Trace { id, span: new_span(), sampled }), parent.map(|parent| parent.span))
    }

    /// The place of a part of what is at `at`.
    pub fn child(&self, at: &Trace) -> Trace {
        Trace { span: new_span(), ..*at }
    }

    /// Takes a span that has ended.
    pub fn end(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many spans could not be kept.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn new_span() -> u64 {
    // Of a random identifier some bits are fixed; these are not. Zero is no span.
    ((uuid::Uuid::new_v4().as_u128() >> 64) as u64 ^ uuid::Uuid::new_v4().as_u128() as u64).max(1)
}

/// Now, nanoseconds since the epoch, as spans have it.
#[expect(clippy::disallowed_methods, reason = "spans of several servers are laid side by side, so no clock of policies counts")]
pub fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::services::telemetry::TRACEPARENT;

    #[test]
    fn a_share_of_traces_is_recorded_and_no_stranger_decides_which() {
        let (none, _spans) = Tracer::new(0.0);
        let (all, _spans) = Tracer::new(1.0);
        let (half, _spans) = Tracer::new(0.5);
        let mut recorded = 0;
        for _ in 0..1000 {
            let correlation = Correlation::new();
            assert!(all.begin(&correlation).0.trace().unwrap().sampled && !none.begin(&correlation).0.trace().unwrap().sampled);
            recorded += u32::from(half.begin(&correlation).0.trace().unwrap().sampled);
        }
        assert!((350..650).contains(&recorded), "{recorded}");
        let mut headers = HeaderMap::new();
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert(TRACEPARENT, HeaderValue::from_static(sent));
        for trusted in [false, true] {
            let (correlation, parent) = none.begin(&Correlation::of(&headers, trusted));
            let trace = correlation.trace().unwrap();
            assert_eq!((trace.sampled, parent), (trusted, Some(0x00f0_67aa_0ba9_02b7)));
            assert!(trace.text().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && trace.span != 0x00f0_67aa_0ba9_02b7);
        }
    }

    #[test]
    fn what_nobody_takes_is_dropped_and_counted() {
        let (tracer, spans) = Tracer::new(1.0);
        let at = Trace { id: 1, span: 2, sampled: true };
        let span = Span {
            at,
            parent: None,
            side: Side::Server,
            name: "GET".into(),
            began: 0,
            ended: 1,
            failed: false,
            attributes: Vec::new(),
        };
        for _ in 0..QUEUE + 3 {
            tracer.end(span.clone());
        }
        assert_eq!(tracer.dropped(), 3);
        drop(spans);
    }
}
