//! What happens if the program itself is wrong. The compiler never makes such programs. If it did, the run must end with an
//! internal fault: not with success, and not with a failure after which an `AtLeastOne` would continue.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use portcullis_dsl::span::Span;
use portcullis_dsl::{Origin, Sources};

use super::program::NOWHERE;
use super::*;
use crate::data::fault::Blame;
use crate::policy::ctx::Slot;
use crate::policy::expr::Expr;
use crate::policy::request::Request;
use crate::policy::site::Site;
use crate::services::Services;

fn run_code(code: Vec<(Op, u32, u32)>) -> Ending {
    let (site, _, diagnostics) = Site::build(Sources::default(), Arc::new(Services::default()), "", &[]);
    assert!(diagnostics.is_empty());
    let spans = vec![Span::default(); code.len()];
    let code = code.into_iter().map(|(op, ok, no)| Instr { op, ok, no }).collect();
    let mut sources = Sources::default();
    sources.add("test.policy", "", Origin::Shipped);
    let program = Program { code, spans, frames: HashMap::new(), cookies: Vec::new(), sources: Arc::new(sources) };
    let frame = FrameProgram {
        name: "test".into(),
        entry: 0,
        fault_tail: None,
        slots: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
        failure: None,
        reads: crate::policy::reads::Reads::default(),
        span: Span::default(),
    };
    let mut ctx = Ctx::new(Arc::new(site.unwrap()), Request::new(Method::GET, ""), "test".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&program, &frame, &mut ctx))
}

/// The instruction after the broken one would count as success.
fn is_internal_fault(what: &str, broken: Op) {
    let ending = run_code(vec![(broken, 1, 1), (Op::End(true), 1, 1)]);
    match ending {
        Ending::Broken(fault) => assert_eq!(fault.blame, Blame::Internal, "{what}: {fault}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn an_instruction_that_has_nothing_to_end_is_an_internal_fault() {
    let data = Loop { item: None, current: Slot(0), iterations: Slot(0), stop: Slot(0), exceeded: Slot(0), limit: None };
    is_internal_fault("a return", Op::Return(true));
    is_internal_fault("a failed return", Op::Return(false));
    is_internal_fault("a round", Op::LoopNext(data));
    is_internal_fault("the end of a loop", Op::LoopLeave);
    is_internal_fault("the end of a handler", Op::PopHandler);
    is_internal_fault("the end of a block that held", Op::EndBlock(BlockEnd::Held));
    is_internal_fault("the end of a block that failed", Op::EndBlock(BlockEnd::Failed));
    is_internal_fault("what the compiler could not compile", Op::Defect);
    is_internal_fault("a variable that no frame has", Op::Set(Slot(7), Expr::Const(Value::Int(1)), None));
    is_internal_fault("the value of such a variable", Op::Set(Slot(0), Expr::Slot(Slot(7)), None));
}

#[test]
fn an_address_that_is_not_there_is_an_internal_fault() {
    for target in [1, 2, NOWHERE] {
        match run_code(vec![(Op::Jump, target, target)]) {
            Ending::Broken(fault) => assert_eq!(fault.blame, Blame::Internal),
            other => panic!("{target}: {other:?}"),
        }
    }
}
