//! Work on many files or policies, shared by several threads that end with it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most threads that load policies at a time, and how many files or policies are worth another one.
const MAX_THREADS: usize = 8;
const EACH: usize = 16;
/// How many may run at a time. The system reads files to tell, so it is asked once.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// The results of `count` pieces of work, in their order. Several threads share them where that is worthwhile for so many files or policies.
pub fn shared<T: Send>(size: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let useful = size.div_ceil(EACH).min(MAX_THREADS);
    let threads = useful.min(*PROCESSORS);
    let next = AtomicUsize::new(0);
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        (at < count).then_some(at)
    };
    let some = || std::iter::from_fn(take).map(|at| (at, work(at))).collect::<Vec<_>>();
    let mut all = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
        let mut all = some();
        for helper in helpers {
            all.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

/// The results for a few parts of many files or policies, in their order.
pub fn parts<'a, T: Sync, R: Send>(all: &'a [T], work: impl Fn(&'a [T]) -> R + Sync) -> Vec<R> {
    let parts: Vec<&[T]> = all.chunks(all.len().div_ceil(MAX_THREADS).max(EACH)).collect();
    shared(all.len(), parts.len(), |part| work(parts.get(part).copied().unwrap_or_default()))
}
