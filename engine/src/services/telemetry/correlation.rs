//! Correlates everything about one request: its id, which is in every log line, every audit record and the answer, and its place
//! in a trace across several servers.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use smol_str::SmolStr;

use crate::data::message::has_field;

/// The field that carries the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The field that carries the place in a trace (W3C Trace Context, section 3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it; worth nothing without it (section 3.3).
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest id that is taken from a proxy, in bytes.
pub const MAX_ID: usize = 128;

thread_local! {
    /// The request that this thread works on, until it works on another one.
    static CURRENT: RefCell<Option<SmolStr>> = const { RefCell::new(None) };
}

/// While it lives, the thread works on a request. Dropping it brings the one before back.
struct Entered(Option<SmolStr>);

impl Entered {
    fn new(id: &SmolStr) -> Entered {
        Entered(CURRENT.replace(Some(id.clone())))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// A request's id and its place in a trace.
#[derive(Clone, Debug)]
pub struct Correlation {
    id: SmolStr,
    trace: Option<Arc<Trace>>,
    /// Whether a trusted proxy asks.
    trusted: bool,
}

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Which trace.
    pub id: u128,
    /// The span that asks: whoever is asked next is its child.
    pub span: u64,
    /// Whether that one is recorded.
    pub sampled: bool,
}

impl Correlation {
    /// For work outside a request: a task, a command.
    pub fn new() -> Self {
        Correlation::unnamed(false)
    }

    /// For a request. The id is new unless a trusted proxy gave one, because whoever could choose it could hide among the lines
    /// of others. The trace comes from the client; it is forwarded but never trusted.
    pub fn of(headers: &HeaderMap, trusted: bool) -> Self {
        let given = if trusted { single(headers, &REQUEST_ID).filter(|id| is_id(id)) } else { None };
        let id = given.map_or_else(fresh, SmolStr::new);
        Correlation { id, trace: single(headers, &TRACEPARENT).and_then(Trace::read).map(Arc::new), trusted }
    }

    /// For a request whose header names neither an id nor a trace.
    pub fn unnamed(trusted: bool) -> Self {
        Correlation { id: fresh(), trace: None, trusted }
    }

    /// The id.
    pub fn id(&self) -> &SmolStr {
        &self.id
    }

    /// The place in a trace, if it has any.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// Whether a trusted proxy asks.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The same request at another place of a trace.
    pub fn at(&self, trace: Trace) -> Self {
        Correlation { id: self.id.clone(), trace: Some(Arc::new(trace)), trusted: self.trusted }
    }

    /// Runs something; every line that it logs has the id.
    pub fn within<F: Future>(&self, run: F) -> impl Future<Output = F::Output> + use<F> {
        let id = self.id.clone();
        async move {
            let mut run = pin!(run);
            poll_fn(|cx| {
                let _entered = Entered::new(&id);
                run.as_mut().poll(cx)
            })
            .await
        }
    }

    /// The same for what does not wait.
    pub fn around<T>(&self, run: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.id);
        run()
    }

    /// Tells the next server, unless a policy does.
    pub fn send(&self, set: &mut HeaderMap) {
        if !set.contains_key(&REQUEST_ID)
            && let Ok(id) = HeaderValue::from_str(&self.id)
        {
            set.insert(REQUEST_ID, id);
        }
        if let Some(trace) = &self.trace
            && !set.contains_key(&TRACEPARENT)
            && let Ok(value) = HeaderValue::from_str(&trace.text())
        {
            set.insert(TRACEPARENT, value);
        }
    }
}

impl Default for Correlation {
    fn default() -> Self {
        Correlation::new()
    }
}

impl Trace {
    /// Reads a `traceparent` field strictly. An unreadable one counts as absent (section 3.2.2.3).
    pub fn read(text: &str) -> Option<Trace> {
        let (version, rest) = text.split_once('-')?;
        let (id, rest) = rest.split_once('-')?;
        let (span, rest) = rest.split_once('-')?;
        // Later versions may add fields after the flags.
        let flags = match rest.split_once('-') {
            Some((flags, _)) if version != "00" => flags,
            Some(_) => return None,
            None => rest,
        };
        let digits =
            |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits(version, 2) || version == "ff" || !digits(id, 32) || !digits(span, 16) || !digits(flags, 2) {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        Some(Trace { id, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
    }

    /// As a `traceparent` field.
    pub fn text(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.id, self.span, u8::from(self.sampled))
    }
}

/// The request that is being worked on here, for lines of the log that are written elsewhere.
pub fn current() -> Option<SmolStr> {
    // While a thread ends, it works on nothing.
    CURRENT.try_with(|current| current.borrow().clone()).ok()?
}

/// An id of 110 random bits, short enough to be copied without an allocation.
fn fresh() -> SmolStr {
    let [one, other]: [u64; 2] = rand::random();
    let words = [digits(one), digits(one >> 40 | other << 24), digits(other >> 16)];
    let digits = words.as_flattened().get(..22).unwrap_or_default();
    SmolStr::new_inline(std::str::from_utf8(digits).unwrap_or_default())
}

/// The lowest 40 bits as eight digits, `0` to `9` and `a` to `v`, all of which are made at once: each has a byte of the number.
fn digits(bits: u64) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let bits = (bits & 0xf_ffff) | ((bits << 12) & 0x000f_ffff_0000_0000);
    let bits = (bits & 0x0000_03ff_0000_03ff) | ((bits << 6) & 0x03ff_0000_03ff_0000);
    let bits = (bits & 0x001f_001f_001f_001f) | ((bits << 3) & 0x1f00_1f00_1f00_1f00);
    // 1 where the digit is a letter: with this, ten and more reach the highest bit of their byte.
    let letters = ((bits + EACH * (0x80 - 10)) >> 7) & EACH;
    (bits + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_le_bytes()
}

/// The field of this name, when there is exactly one.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    if !has_field(headers, name) {
        return None;
    }
    let mut fields = headers.get_all(name).iter();
    fields.next().filter(|_| fields.next().is_none())?.to_str().ok()
}

/// Whether a text is one word in a log and a header field.
fn is_id(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'~' | b'@');
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_trace_is_read_to_the_letter() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = Trace::read(good).unwrap();
        assert_eq!((read.id, read.span, read.sampled), (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(read.text(), good);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes";
        assert_eq!(Trace::read(later).map(|trace| trace.sampled), Some(false));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-+bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        ] {
            assert_eq!(Trace::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_thread_works_on_one_request_at_a_time() {
        let (one, other) = (Correlation::new(), Correlation::new());
        assert_eq!(current(), None);
        one.around(|| {
            assert_eq!(current().as_ref(), Some(one.id()));
            other.around(|| assert_eq!(current().as_ref(), Some(other.id())));
            assert_eq!(current().as_ref(), Some(one.id()), "the one before is back");
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.around(|| panic!("a run panics"))));
            assert!(panicked.is_err() && current().as_ref() == Some(one.id()), "after a panic, too");
        });
        assert_eq!(current(), None);
        // A run that waits is worked on only while it is polled.
        let mut polls = 0;
        let mut run = pin!(one.within(poll_fn(|_| {
            polls += 1;
            assert_eq!(current().as_ref(), Some(one.id()));
            if polls < 2 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while run.as_mut().poll(&mut cx).is_pending() {
            assert_eq!(current(), None);
        }
        assert_eq!(current(), None);
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for (bits, written) in [
            (0, "00000000"),
            (0x7fff_ffff_ffff, "vvvvvvvv"),
            (1 << 63, "00000000"),
            (9 | 10 << 5 | 31 << 10 | 1 << 15 | 11 << 20 | 30 << 25 | 8 << 30 | 16 << 35, "9av1bu8g"),
        ] {
            assert_eq!(std::str::from_utf8(&digits(bits)).unwrap(), written);
        }
        let ids: std::collections::HashSet<SmolStr> = (0..1000).map(|_| fresh()).collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| id.len() == 22));
        // Each digit takes each value.
        let kinds = |at: usize| ids.iter().map(|id| id.as_bytes()[at]).collect::<std::collections::HashSet<u8>>().len();
        assert!((0..22).all(|at| kinds(at) == 32));
    }

    #[test]
    fn only_a_trusted_proxy_chooses_the_id() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(Correlation::of(&headers, true).id(), "abc-1");
        assert_ne!(Correlation::of(&headers, false).id(), "abc-1");
        headers.append(REQUEST_ID, HeaderValue::from_static("abc-2"));
        assert_eq!(Correlation::of(&headers, true).id().len(), 22, "two are none");
        for bad in ["", "a b", "a\"b", "a=b", "a;b", "a,b", &"a".repeat(MAX_ID + 1), "caf\u{e9}"] {
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(bad.as_bytes()).unwrap());
            assert_eq!(Correlation::of(&headers, true).id().len(), 22, "{bad}");
        }
    }
}
