//! What runs before and after the policy of each service. A set without such policies pays for a look at two empty lists.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use portcullis_dsl::Library;

use super::{Route, Site};
use crate::data::message::Message;
use crate::data::value::Value;
use crate::policy::ctx::{Ctx, Refused};
use crate::policy::exec::program::{FrameProgram, Program};
use crate::policy::exec::{self, Ending};
use crate::policy::reads::Reads;

/// The policies before and after services.
#[derive(Default)]
pub(super) struct Around {
    /// In the order in which they run.
    pub before: Vec<Arc<FrameProgram>>,
    pub after: Vec<Arc<FrameProgram>>,
    /// What they read of the request.
    pub reads: Reads,
}

impl Around {
    pub fn new(library: &Library, program: &Program) -> Around {
        let frames = |policies: Vec<&portcullis_dsl::Policy>| {
            policies.iter().filter_map(|policy| program.frames.get(&policy.id).cloned()).collect::<Vec<_>>()
        };
        let (before, after) = (frames(library.before()), frames(library.after()));
        let mut reads = Reads::default();
        before.iter().chain(&after).for_each(|frame| reads.extend(&frame.reads));
        Around { before, after, reads }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

impl Route {
    /// Runs what is before the service, then its policy. A failure before it is answered as one of its own; after a `Done` the answer is
    /// what was drafted.
    pub(super) async fn run_behind(&self, site: &Site, ctx: &mut Ctx) -> Ending {
        for before in &site.around.before {
            ctx.begin_anew();
            let ending = exec::run(&site.program, before, ctx).await;
            let told = before.told.map(|told| (ctx.get(told.code).clone(), ctx.get(told.answered).to_bool() == Some(true)));
            let (code, answered) = told.unwrap_or((Value::Undefined, false));
            match ending {
                Ending::Held if answered => return Ending::Held,
                Ending::Held => {}
                Ending::Failed => {
                    return match exec::failed_before(&site.program, &self.frame, ctx, code) {
                        Some(run) => run.await,
                        None => Ending::Failed,
                    };
                }
                Ending::Broken(fault) => {
                    if fault.passing {
                        ctx.refused = Some(Box::new(Refused::for_now()));
                    }
                    ctx.begin_anew();
                    if let Some(run) = exec::refuse(&site.program, &self.frame, ctx) {
                        run.await;
                    }
                    return Ending::Broken(fault);
                }
            }
        }
        ctx.begin_anew();
        exec::run(&site.program, &self.frame, ctx).await
    }

    /// Runs what is after the service, whatever the answer is. It sees the answer, and cannot change it.
    pub(super) async fn complete(&self, site: &Site, ctx: &mut Ctx, response: &Response<Bytes>) {
        let mut answer = Message::default();
        answer.status = Some(response.status().as_u16());
        answer.headers = response.headers().clone();
        answer.set_body(response.body().clone());
        for after in &site.around.after {
            ctx.begin_anew();
            ctx.draft = None;
            ctx.response = Some(Box::new(answer.clone()));
            if let Ending::Broken(fault) = exec::run(&site.program, after, ctx).await {
                site.services.metrics.fault(fault.blame.word());
                let (service, policy, request, blame) = (&self.name, &after.name, ctx.request.id(), fault.blame.word());
                tracing::error!(%service, %policy, %request, place = fault.place, blame, "fault after the answer: {fault}");
            }
        }
    }
}
