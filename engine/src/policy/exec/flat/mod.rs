//! A service as one stretch of code, for runs that nobody watches: everything that it calls is written in place, and what is known before
//! any request is worked out beforehand.
//!
//! ```text
//! walk.rs    follows the program from the service's first instruction, into everything that it calls, with what is known of each
//!            variable ([`state`]): a decision that is known leaves one way, a value that is known is a constant ([`fold`])
//! calls.rs   does so through calls
//! merge.rs   gives one place to variables that pass their value on
//! live.rs    finds which variables somebody still reads: what sets others is left out
//! filled.rs  finds which variables may have been set: what makes others undefined is left out, too
//! emit.rs    writes the code
//! rows.rs    joins comparisons that follow each other
//! ```
//!
//! Policies configure themselves with constants, mostly: who is asked, what is allowed, how long. A run is left with the instructions that
//! depend on its request. Of most assertions only the variables are known that they may use
//! ([`Program::touched`](super::program::Program::touched)): these are set before them as the policy says. Others are made anew with what is
//! known ([`Assertion::placed`](crate::policy::assertion::Assertion::placed)). What an assertion may set is unknown after it.
//!
//! Calls pass values that are not known, either: inputs, outputs and `set a = ${b}` make copies. As long as neither changes, the original is
//! read instead of its copy, and mostly nobody is left who reads the copy.
//!
//! Frames have fixed places: a callee's variables come after its caller's, so calls cost nothing and every instruction says where its
//! frame begins.
//!
//! Whoever runs this form and whoever runs the program itself sees the same: `flat/tests.rs` runs policies both ways.

mod calls;
mod emit;
mod filled;
mod fold;
mod graph;
mod live;
mod merge;
mod nowhere;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use super::program::{Flat, FrameProgram, Program};

/// A service that has run so often gets its flat form, which takes some milliseconds and memory.
const OFTEN: u32 = 32;

/// One form is made at a time: requests need the other processors.
static MAKING: Mutex<()> = Mutex::new(());

/// The flat form of a policy that is about to run. `None`: it has not run often or the form is being made, it is too long, or something in
/// it has no such form.
pub fn of<'p>(program: &Arc<Program>, frame: &'p Arc<FrameProgram>) -> Option<&'p Flat> {
    match frame.flat.flat.get() {
        Some(flat) => flat.as_deref(),
        None if program.eager => now(program, frame),
        None if frame.flat.runs.fetch_add(1, Relaxed) == OFTEN => soon(program, frame),
        None => None,
    }
}

/// Makes the form beside the requests. Without a runtime there are none: it is made now.
fn soon<'p>(program: &Arc<Program>, frame: &'p Arc<FrameProgram>) -> Option<&'p Flat> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return now(program, frame) };
    let (program, frame) = (Arc::clone(program), Arc::clone(frame));
    drop(runtime.spawn_blocking(move || {
        let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        now(&program, &frame);
    }));
    None
}

/// The same, however often it runs.
pub fn now<'p>(program: &Program, frame: &'p FrameProgram) -> Option<&'p Flat> {
    frame.flat.flat.get_or_init(|| make(program, frame).map(Box::new)).as_deref()
}

fn make(program: &Program, frame: &FrameProgram) -> Option<Flat> {
    let mut graph = walk::walk(program, frame)?;
    merge::merge(&mut graph)?;
    let live = live::live(&graph);
    emit::emit(&graph, &live).map(rows::join)
}
