//! A block that lost against others is run again from its beginning, with the variables that it had then, if nothing happened in it that
//! would be there twice.

use super::{Run, abandon};
use crate::data::fault::Fault;
use crate::policy::ctx::Ctx;
use crate::policy::slots::Slots;
use crate::services::store::Again;

/// Where a block began, and with what.
pub(super) struct Checkpoint {
    /// The instruction that begins it.
    at: u32,
    slots: Slots,
    base: usize,
    calls: usize,
    loops: usize,
    handlers: usize,
    /// Open blocks around it.
    blocks: usize,
    /// What had happened until then that cannot be undone.
    outside: u32,
    again: Again,
}

impl Run {
    /// A block begins that may be run again.
    pub(super) fn may_return_to(&mut self, ctx: &Ctx, at: u32) {
        let again = self.retrying.take().filter(|(begin, _)| *begin == at).map(|(_, again)| again);
        self.checkpoints.push(Checkpoint {
            at,
            slots: ctx.slots.clone(),
            base: ctx.base,
            calls: self.calls.len(),
            loops: self.loops.len(),
            handlers: self.handlers.len(),
            blocks: self.blocks.len(),
            outside: ctx.outside,
            again: again.unwrap_or_default(),
        });
    }

    /// Nobody returns into a block that has ended.
    pub(super) fn forget_checkpoints(&mut self) {
        let open = self.blocks.len();
        while self.checkpoints.last().is_some_and(|checkpoint| checkpoint.blocks >= open) {
            self.checkpoints.pop();
        }
    }
}

/// After a fault that says that the block lost: goes back to where the innermost block began, if that may help. `None`: it may not.
pub(super) async fn try_again(ctx: &mut Ctx, run: &mut Run, fault: &Fault) -> Option<u32> {
    let mut checkpoint = run.checkpoints.pop()?;
    if checkpoint.outside != ctx.outside {
        return None;
    }
    abandon(ctx, run, checkpoint.blocks).await;
    // While nothing is locked.
    if !checkpoint.again.pause().await {
        return None;
    }
    tracing::debug!(service = %ctx.service, request = %ctx.request.id(), place = fault.place, "run again: {fault}");
    run.calls.truncate(checkpoint.calls);
    run.loops.truncate(checkpoint.loops);
    run.handlers.truncate(checkpoint.handlers);
    run.failed = None;
    ctx.slots = checkpoint.slots;
    ctx.base = checkpoint.base;
    run.retrying = Some((checkpoint.at, checkpoint.again));
    Some(checkpoint.at)
}
