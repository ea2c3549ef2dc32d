//! Observers of a run, such as a tracer or coverage tool. The executor is compiled separately for each kind of observer, so that
//! a run without one pays nothing.

use portcullis_dsl::span::Span;

/// Is told of each step of a run, in order. A statement is a step; one that runs its block several times, or that begins and ends
/// something, is a step each time. The steps of an encapsulated assertion come between the begin and the end of its call.
pub trait Observer: Send {
    /// Whether anything is observed.
    const WATCHES: bool = true;

    /// The step at this place begins.
    fn begun(&mut self, place: Span);

    /// The step at this place is over. A call left by a `fail` or a fault has no end.
    fn ended(&mut self, place: Span, how: Ended);
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It succeeded.
    Held,
    /// It failed.
    Failed,
    /// A fault or a raised error.
    Broken,
}

/// No observer.
pub struct Nobody;

impl Observer for Nobody {
    const WATCHES: bool = false;

    fn begun(&mut self, _place: Span) {}

    fn ended(&mut self, _place: Span, _how: Ended) {}
}

impl<O: Observer> Observer for &mut O {
    const WATCHES: bool = O::WATCHES;

    fn begun(&mut self, place: Span) {
        (**self).begun(place);
    }

    fn ended(&mut self, place: Span, how: Ended) {
        (**self).ended(place, how);
    }
}
