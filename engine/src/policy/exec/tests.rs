//! What happens if the program itself is wrong. The compiler never makes such programs. If it did, the run must end with an
//! internal fault: not with success, and not with a failure after which an `AtLeastOne` would continue.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use portcullis_dsl::span::Span;
use portcullis_dsl::{Origin, Sources};

use super::program::{Loop, NOWHERE};
use super::*;
use crate::data::fault::Blame;
use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::expr::Expr;
use crate::policy::request::Request;
use crate::policy::site::Site;
use crate::services::Services;

/// How it ends, as it stands and in its flat form.
fn run_code(code: impl Fn() -> Vec<(Op, u32, u32)>) -> [Ending; 2] {
    let (site, _, diagnostics) = Site::build(Sources::default(), Arc::new(Services::default()), "", &[]);
    assert!(diagnostics.is_empty());
    let code: Vec<Instr> =
        code().into_iter().zip(0..).map(|((op, ok, no), origin)| Instr { op, ok, no, origin, base: 0 }).collect();
    let spans = vec![Span::default(); code.len()];
    let mut sources = Sources::default();
    sources.add("test.policy", "", Origin::Shipped);
    let program = Program {
        code,
        spans,
        frames: HashMap::new(),
        cookies: Vec::new(),
        sources: Arc::new(sources),
        eager: false,
        touched: HashMap::new(),
    };
    let frame = FrameProgram {
        name: "test".into(),
        entry: 0,
        fault_tail: None,
        failing: None,
        told: None,
        slots: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
        failure: None,
        reads: crate::policy::reads::Reads::default(),
        changes: Vec::new(),
        flat: super::program::Made::default(),
        span: Span::default(),
    };
    let site = Arc::new(site.unwrap());
    let ctx = || Ctx::new(site.clone(), Request::new(Method::GET, ""), "test".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plain = runtime.block_on(run_observed(&program, &frame, &mut ctx(), Nobody));
    flat::now(&program, &frame);
    [plain, runtime.block_on(run(&Arc::new(program), &Arc::new(frame), &mut ctx()))]
}

/// The instruction after the broken one would count as success.
fn is_internal_fault(what: &str, broken: Op) {
    for ending in run_code(|| vec![(broken.clone(), 1, 1), (Op::End(true), 1, 1)]) {
        match ending {
            Ending::Broken(fault) => assert_eq!(fault.blame, Blame::Internal, "{what}: {fault}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn an_instruction_that_has_nothing_to_end_is_an_internal_fault() {
    let data =
        Loop { item: None, current: Some(Slot(0)), iterations: Some(Slot(0)), stop: Slot(0), exceeded: Slot(0), limit: None };
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
        for ending in run_code(|| vec![(Op::Jump, target, target)]) {
            match ending {
                Ending::Broken(fault) => assert_eq!(fault.blame, Blame::Internal),
                other => panic!("{target}: {other:?}"),
            }
        }
    }
}
