//! What happens if the program itself is wrong. The compiler never makes such programs. If it did, the run must end with an
//! internal fault: not with success, and not with a failure after which an `AtLeastOne` would continue.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use portcullis_dsl::span::Span;
use portcullis_dsl::{Origin, Sources};

use super::program::{Loop, NOWHERE};
use super::trial::Settled;
use super::*;
use crate::data::fault::Blame;
use crate::data::value::Value;
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
        failing: None,
        told: None,
        slots: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
        failure: None,
        reads: crate::policy::reads::Reads::default(),
        changes: Vec::new(),
        begun: None,
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

/// What the first call of the service does without being entered: how many variables it sets.
fn known(text: &str) -> Option<usize> {
    let mut sources = Sources::default();
    sources.add("services/test.policy", text.to_owned(), Origin::Operator);
    let (site, library, diagnostics) = Site::build(sources, Arc::new(Services::default()), "", &[]);
    let site = site.unwrap_or_else(|| panic!("{}", portcullis_dsl::diagnostic::render(&diagnostics, library.sources(), false)));
    let service = library.services().next().expect("a service");
    let entry = site.program.frames.get(&service.id).expect("a program").entry;
    let calls = site.program.code.iter().skip(entry as usize).filter_map(|instr| match &instr.op {
        Op::Call(site) => match &site.settled {
            Settled::Whole(known) => Some(Some(known.len())),
            _ => Some(None),
        },
        _ => None,
    });
    calls.into_iter().next().expect("a call")
}

#[test]
fn calls_that_do_the_same_in_every_run_are_not_entered() {
    let call = |body: &str| {
        known(&format!(
            "assertion \"Settings\" (in custom: json = ${{custom}}, in name = \"x\", out age: int 1..100, out word, out list) {{ {body} }}
             assertion \"Inner\" (in n: int = 1, out age) {{ set age = ${{n}} + 1 }}
             service \"S\" at \"/s\" {{ set custom = json_get(${{request.json}}, \"custom\")\n \"Settings\" (custom: \"\", name: ${{request.http.method}})
               Respond(body: \"${{age}} ${{word}} ${{list}}\") }}"
        ))
    };
    assert_eq!(call("set age = 5\n set word = \"w\"\n if ${age} > 3 { set list = [\"a\", ${word}] }"), Some(3));
    assert_eq!(call("\"Inner\" (n: 6)\n ForEach item in [\"a\", \"b\"] { set word = ${item.current} }"), Some(2));
    assert_eq!(call("if ${custom} is not empty { set age = ${custom.age} }\n set word = upper(\"w\")"), Some(1));
    // An unknown variable may be passed on; it may not decide, nor be given.
    assert_eq!(call("set word = \"w\"\n set other = ${name}"), Some(1));
    assert_eq!(call("set word = ${name}"), None);
    assert_eq!(call("if ${name} == \"GET\" { set word = \"w\" }"), None);
    // The time, the request and the gateway differ.
    for changing in ["now()", "${request.http.method}", "${gateway.time}", "${service.name}", "cookie(\"a\")"] {
        assert_eq!(call(&format!("set word = {changing}")), None, "{changing}");
    }
    // What does more than setting variables happens in every run.
    assert_eq!(call("set word = \"w\"\n AuditDetail(message: \"m\")"), None);
    assert_eq!(call("set word = \"w\"\n GenerateUuid(target: \"other\")"), None);
    assert_eq!(call("set word = \"w\"\n Stop"), None);
    assert_eq!(call("set age = 250 + 250"), None, "out of its bounds: a fault in every run");
}

/// Somebody who watches: nothing is taken for known then.
struct Watcher;

impl Observer for Watcher {
    const WATCHES: bool = true;
    fn begun(&mut self, _: Span) {}
    fn ended(&mut self, _: Span, _: Ended) {}
}

/// How the command ends and what it gives, when all instructions run, and when what is known beforehand is left out. The third value: how
/// many instructions a run does not have to run, of the command and of what it calls.
fn both_ways(text: &str) -> (String, String, usize) {
    let mut sources = Sources::default();
    sources.add("services/test.policy", text.to_owned(), Origin::Operator);
    let (site, library, diagnostics) = Site::build(sources, Arc::new(Services::default()), "", &[]);
    let told = || portcullis_dsl::diagnostic::render(&diagnostics, library.sources(), false);
    let site = Arc::new(site.unwrap_or_else(|| panic!("{text}: {}", told())));
    let beginnings = site.program.code.iter().filter(|instr| match &instr.op {
        Op::Call(site) => matches!(site.settled, Settled::Begun(_)),
        _ => false,
    });
    let begun = beginnings.count() + site.program.frames.values().filter(|frame| frame.begun.is_some()).count();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let words = |(ending, outputs): (Ending, Vec<(smol_str::SmolStr, Value)>)| {
        let outputs: Vec<String> = outputs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let ending = match ending {
            Ending::Broken(fault) => format!("Broken({fault})"),
            other => format!("{other:?}"),
        };
        format!("{ending} {}", outputs.join(" "))
    };
    let watched = words(runtime.block_on(site.run_named_observed("c", &[], Watcher)).unwrap());
    let plain = words(runtime.block_on(site.run_named("c", &[])).unwrap());
    (watched, plain, begun)
}

#[test]
fn what_is_known_beforehand_changes_nothing() {
    const UNKNOWN: &str = "set now = \"${request.http.method}\"";
    let bodies = [
        "set a = 1\n UNKNOWN\n set b = 2",
        "set a = 1\n set b = ${service.name}\n set a = ${a} + 1\n UNKNOWN\n set c = \"${a} ${now} x\"\n set a = \"again\"",
        "set a = \"x\"\n if ${a} == \"x\" { set b = 1 } else { set b = 2 }\n UNKNOWN\n if ${now} is empty { set c = 1 } else { set c = 2 }",
        "set a = 5\n AtLeastOne { All { set b = 1; ${a} == 4 }; All { set c = ${b} } }\n UNKNOWN",
        "set a = 5\n ${a} == 4",
        "set a = 5\n ${a} == 4\n UNKNOWN",
        "UNKNOWN\n set n: int = ${now}\n set a = 1",
        "set a = 1\n set n: int = \"${request.http.method}x\"\n set a = 2",
        "set a = \"word\"\n set n: int = ${a}\n set b = 1",
        "\"Inner\" (n: 3)\n set a = ${m}\n UNKNOWN\n \"Inner\" (n: ${now})\n set b = ${m}",
        "\"Outer\" ()\n set a = ${o}\n set b = \"${p}\"",
        "\"Outer\" ()\n \"Outer\" ()\n set c = ${o}",
        "ForEach item in [\"x\", \"y\"] { set a = ${item.current}; set b = ${item.iterations} }\n set c = ${item.iterations}",
        "set a = 0\n ForEach item in [1, 2, 3] { set a = ${a} + ${item}; UNKNOWN }\n set b = ${a}",
        "HandleErrors { set a = 1; Raise \"r\" } on error { set b = 9 }\n set c = 3",
        "set a = 1\n HandleErrors { UNKNOWN; set a = 2 } on error { set b = 1 }",
        "default a = 1\n default a = 2\n default b = ${service.name}\n default b = 4\n set b = (${b} == 9)",
        "\"Fails\" (n: 1) else set a = ${code}\n \"Fails\" (n: 0)\n set b = \"${code}\"",
        "\"Fails\" (n: 1)",
        "\"Fails\" (n: (${request.http.method} == \"GET\")) else set a = ${code}",
        "\"Bounds\" ()\n set a = ${age}",
        "set a = json { \"x\": 1, \"y\": [1, 2] }\n set b = ${a.y}\n UNKNOWN\n set c = ${a.x}",
        "Done\n set a = 1",
        "set a = 1\n Stop",
        "fail 7",
    ];
    let mut begun = 0;
    for body in bodies {
        let (watched, plain, settled) = both_ways(&format!(
            "assertion \"Inner\" (in n, out m) {{ set m = \"<${{n}}>\" }}
             assertion \"Half\" (in n, out m, out q) {{ set m = 1\n set q = 2\n set m = \"${{n}}\"\n set q = 3 }}
             assertion \"Outer\" (out o, out p) {{ set o = 1\n \"Half\" (n: \"k\")\n set o = \"${{m}}${{q}}\"\n \"Half\" (n: ${{service.name}})
               set p = ${{m}}\n set o = \"${{o}}!\" }}
             assertion \"Fails\" (in n) fails with code {{ set x = 1\n if ${{n}} == \"1\" {{ fail 1 }} else if ${{n}} == \"true\" {{ fail 2 }} }}
             assertion \"Bounds\" (out age: int 1..100) {{ set age = 5\n set other = ${{service.name}}\n set age = 7 }}
             command \"c\" (out a, out b, out c) {{ declare n: int\n {} }}",
            body.replace("UNKNOWN", UNKNOWN)
        ));
        assert_eq!(watched, plain, "{body}");
        begun += settled;
    }
    assert!(begun > 20, "hardly anything is known beforehand: {begun}");
}
