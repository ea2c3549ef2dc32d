//! The flat form of a policy does what the policy does: policies are run both ways, written ones and made ones.

use std::sync::Arc;

use http::Method;
use portcullis_dsl::span::Span;
use portcullis_dsl::{Origin, Sources};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::policy::ctx::{Ctx, Environment};
use crate::policy::exec::observer::{Ended, Nobody, Observer};
use crate::policy::exec::program::{FrameProgram, Op};
use crate::policy::exec::{Ending, run, run_observed};
use crate::policy::request::Request;
use crate::policy::site::Site;
use crate::services::Services;

/// Assertions that the policies call.
const CALLED: &str = r#"
assertion "Inner" (in n, out m) { set m = "<${n}>" }
assertion "Half" (in n, out m, out q) { set m = 1; set q = 2; set m = "${n}"; set q = 3 }
assertion "Outer" (out o, out p) {
    set o = 1
    "Half" (n: "k")
    set o = "${m}${q}"
    "Half" (n: ${service.name})
    set p = ${m}
    set o = "${o}!"
}
assertion "Fails" (in n) fails with code {
    set x = 1
    if ${n} == "1" { fail 1 } else if ${n} == "true" { fail 2 } else if ${n} == "stop" { Stop }
}
assertion "Bounds" (in n: int = 5, out age: int 1..100) { set age = ${n}; set other = ${service.name}; set age = ${n} + 2 }
assertion "Keeps" (in n, out a, out b) { if ${n} == "GET" { set a = "kept" } else { set b = "other" } }
assertion "Unset" (in n?, out m, out q) { declare deep; if ${n} is not empty { set m = ${n} }; set q = "${deep}|${m}"; set deep = "d" }
assertion "Caught" (in n, out a, out b) {
    set a = "before"
    HandleErrors {
        set a = "within"
        "Deep" (n)
        set a = "after"
    } on error {
        set b = "${a} ${handleError.message}"
    }
}
assertion "Deep" (in n, out unread) { set unread = 1; Raise "deep ${n}" }
assertion "Loops" (in list: list, out sum, out last) {
    set sum = 0
    ForEach item in ${list} {
        if ${item} == "stop" { set item.break = true }
        "Inner" (n: ${item})
        set last = ${m}
        set sum = ${sum} + 1
        if ${item} == "fail" { Stop }
    }
}
assertion "Typed" (in n: int, in doc: json = json {}, out m: int, out q) { set m = ${n} + 1; set q = ${doc.x}; set m = "${m}" }
assertion "Passes" (in n, in k = ${a}, out m, out q) { set m = ${n}; set n = ${k}; "Keeps" (n: ${m}); set q = ${n}; set k = "k" }
assertion "Turns" (in a, in b, out a, out b) { set c = ${a}; set a = ${b}; if ${c} != "stop" { set b = ${c} } else { Stop } }
assertion "Stored" (in n, out m, out known) {
    set m = "before"
    Cached(cache: "flat", key: ${n}, keep: "m", found: "known") { "Inner" (n); if ${n} == "stop" { Stop }; set m = "${m}!" }
}
"#;

/// Something that is not known beforehand.
const UNKNOWN: &str = "${request.http.method}";

/// An assertion that reads `a` where it is, and sets `c`.
const REPLACED: &str = r#"RegexReplace(source: ${a}, pattern: r"x", replacement: "y", target: "c")"#;

/// Nothing is taken for known then.
struct Watcher;

impl Observer for Watcher {
    const WATCHES: bool = true;
    fn begun(&mut self, _: Span) {}
    fn ended(&mut self, _: Span, _: Ended) {}
}

fn site(text: &str) -> Arc<Site> {
    let mut sources = Sources::default();
    sources.add("services/test.policy", text.to_owned(), Origin::Operator);
    let (site, library, diagnostics) = Site::build(sources, Arc::new(Services::default()), "", &[]);
    let told = || portcullis_dsl::diagnostic::render(&diagnostics, library.sources(), false);
    Arc::new(site.unwrap_or_else(|| panic!("{text}: {}", told())))
}

fn words(ending: Ending, frame: &FrameProgram, ctx: &Ctx, site: &Site) -> String {
    let outputs: Vec<String> =
        frame.outputs.iter().map(|(name, slot)| format!("{name}={:?}{}", ctx.get(*slot), ctx.get(*slot).as_text())).collect();
    let ending = match ending {
        Ending::Broken(fault) => format!("Broken({fault} at {:?})", fault.place),
        other => format!("{other:?}"),
    };
    let refusal = ctx.refusal.as_ref().map(|refusal| site.program.told(refusal).0);
    format!("{ending} {} {refusal:?}", outputs.join(" "))
}

/// Runs the commands of a policy as they stand, watched and not, and in their flat form. How many instructions they have then.
fn both_ways(text: &str) -> Vec<usize> {
    let mut left = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Each way has a gateway of its own, so that all find the same caches.
    let mut ways = (0..3).map(|way| {
        let site = site(text);
        let run_one = |own: &portcullis_dsl::Policy| {
            let frame = Arc::clone(site.program.frames.get(&own.id).expect("a program"));
            let mut ctx = Ctx::new(Arc::clone(&site) as Arc<dyn Environment>, Request::new(Method::GET, ""), "c".into());
            let ending = match way {
                0 => runtime.block_on(run_observed(&site.program, &frame, &mut ctx, Watcher)),
                1 => runtime.block_on(run_observed(&site.program, &frame, &mut ctx, Nobody)),
                _ => {
                    let flat = super::now(&site.program, &frame).unwrap_or_else(|| panic!("no flat form: {text}"));
                    left.push(flat.code.iter().filter(|instr| !matches!(instr.op, Op::End(_) | Op::Jump)).count());
                    runtime.block_on(run(&site.program, &frame, &mut ctx))
                }
            };
            (own.name.clone(), words(ending, &frame, &ctx, &site))
        };
        site.library.commands().map(run_one).collect::<Vec<_>>()
    });
    let (watched, plain, flat) = (ways.next().unwrap(), ways.next().unwrap(), ways.next().unwrap());
    for ((watched, plain), flat) in watched.iter().zip(&plain).zip(&flat) {
        assert_eq!(watched, plain, "{text}");
        assert_eq!(plain, flat, "{text}");
    }
    left
}

#[test]
fn the_flat_form_does_the_same() {
    let bodies = [
        "set a = 1\n set now = UNKNOWN\n set b = 2",
        "set a = 1\n set b = ${service.name}\n set a = ${a} + 1\n set now = UNKNOWN\n set c = \"${a} ${now} x\"\n set a = \"again\"",
        "set a = \"x\"\n if ${a} == \"x\" { set b = 1 } else { set b = 2 }\n set now = UNKNOWN\n if ${now} is empty { set c = 1 } else { set c = 2 }",
        "set a = 5\n AtLeastOne { All { set b = 1; ${a} == 4 }; All { set c = ${b} } }\n set now = UNKNOWN",
        "set a = 5\n ${a} == 4",
        "set a = 5\n ${a} == 4 else ${a} == 3",
        "set a = 5\n ${a} == 4 else UNKNOWN == \"POST\"",
        "set n: int = UNKNOWN\n set a = 1",
        "set a = 1\n set n: int = \"UNKNOWNx\"\n set a = 2",
        "set a = 1\n set n: int = \"UNKNOWNx\" else set a = 2",
        "set a = \"word\"\n set n: int = ${a}\n set b = 1",
        "\"Inner\" (n: 3)\n set a = ${m}\n \"Inner\" (n: UNKNOWN)\n set b = ${m}",
        "\"Outer\" ()\n set a = ${o}\n set b = \"${p}\"",
        "\"Outer\" ()\n \"Outer\" ()\n set c = ${o}",
        "ForEach item in [\"x\", \"y\"] { set a = ${item.current}; set b = ${item.iterations} }\n set c = ${item.iterations}",
        "set a = 0\n ForEach item in [1, 2, 3] { set a = ${a} + ${item}; set now = UNKNOWN }\n set b = ${a}",
        // What is known where the ways of a loop meet, and changes in between.
        "set a = \"v\"\n REPLACED\n ForEach item in [1, 2] { REPLACED; set b = \"${b}${c}\"; set a = \"x\"; REPLACED; set b = \"${b}${c}\"; set a = \"v\" }",
        "set a = \"v\"\n if UNKNOWN == \"GET\" { set a = \"x\"; REPLACED; set b = ${c}; set a = \"v\" } else { set b = 1 }\n REPLACED",
        "set a = \"v\"\n if UNKNOWN == \"GET\" { set a = \"x\"; REPLACED; set b = ${c}; set a = \"v\" }\n HandleErrors { REPLACED; Raise \"r\" } on error { REPLACED }",
        "set a = 0\n set b = 1\n ForEach item in split(\"a UNKNOWN b\", \" \") { set c = \"${c}${item}${b}\"; set b = ${a}; set a = 7 }",
        "HandleErrors { set a = 1; Raise \"r\" } on error { set b = 9 }\n set c = 3",
        "set a = 1\n HandleErrors { set a = UNKNOWN; set a = 2; Raise \"r UNKNOWN\" } on error { set b = ${a} }",
        "set a = 1\n HandleErrors { set a = 2; UNKNOWN == \"POST\"; set a = 3 } on error { set b = 1 }",
        "default a = 1\n default a = 2\n default b = ${service.name}\n default b = 4\n set b = (${b} == 9)",
        "default a = UNKNOWN\n default a = 3\n default b: int = UNKNOWN else set c = 2",
        "\"Fails\" (n: 1) else set a = ${code}\n \"Fails\" (n: 0)\n set b = \"${code}\"",
        "\"Fails\" (n: 1)",
        "\"Fails\" (n: UNKNOWN)",
        "\"Fails\" (n: \"stop\") else set a = \"${code}.\"",
        "\"Fails\" (n: (UNKNOWN == \"GET\")) else set a = ${code}",
        "set code = 7\n \"Fails\" (n: \"stop\") else set a = \"${code}.\"\n set code = 8\n \"Fails\" (n: 0)\n set b = ${code}",
        "\"Bounds\" ()\n set a = ${age}",
        "\"Bounds\" (n: 99)\n set a = ${age}",
        "\"Bounds\" (n: length(UNKNOWN))\n set a = ${age}",
        "\"Bounds\" (n: length(UNKNOWN) + 97)\n set a = ${age}",
        "set x = \"x\"\n \"Bounds\" (n: ${x}) else set a = \"not called\"",
        "\"Bounds\" (n: \"xUNKNOWN\") else set a = \"not called\"",
        "set x = 300\n HandleErrors { \"Bounds\" (n: ${x}) } on error { set a = ${handleError.message} }",
        "set a = json { \"x\": 1, \"y\": [1, 2] }\n set b = ${a.y}\n set now = UNKNOWN\n set c = ${a.x}",
        "Done\n set a = 1",
        "ForEach item in [\"x\", UNKNOWN] { set a = ${item}; if ${item} == \"GET\" { Done } }\n set a = 9",
        "set a = 1\n Stop",
        "fail 7",
        "set a = 3\n set b = UNKNOWN\n fail ${b}",
        "set a = \"mine\"\n \"Keeps\" (n: UNKNOWN)\n set c = \"${a} ${b}\"",
        "set b = \"mine\"\n \"Keeps\" (n: \"x\")\n set c = \"${a} ${b}\"",
        "set m = \"old\"\n \"Unset\" ()\n set a = ${m}\n set b = ${q}\n \"Unset\" (n: UNKNOWN)\n set c = \"${m} ${q}\"",
        "\"Unset\" (n: 5)\n \"Keeps\" (n: ${m})\n \"Unset\" ()\n set c = \"${a}${b}${q}\"",
        "\"Caught\" (n: 1)\n set c = ${b}",
        "\"Caught\" (n: UNKNOWN)\n set c = \"${a} ${b}\"",
        "HandleErrors { \"Deep\" (n: UNKNOWN) } on error { set a = ${handleError.message}; \"Inner\" (n: 1); set b = ${m} }",
        "set a = 1\n \"Deep\" (n: 3)",
        "\"Loops\" (list: [\"a\", \"b\"])\n set a = ${sum}\n set b = ${last}",
        "\"Loops\" (list: [\"a\", UNKNOWN, \"stop\", \"c\"])\n set a = ${sum}\n set b = ${last}",
        "\"Loops\" (list: [\"a\", \"fail\", \"c\"]) else set c = \"failed\"\n set a = ${sum}\n set b = ${last}",
        "\"Typed\" (n: 1, doc: \"{\\\"x\\\": 4}\")\n set a = ${m}\n set b = ${q}",
        "\"Typed\" (n: \"1UNKNOWN\") else set c = \"no\"\n set a = ${m}",
        "\"Typed\" (n: length(UNKNOWN), doc: \"\")\n set a = ${m}\n set b = ${q}",
        "\"Stored\" (n: 1)\n set a = \"${m} ${known}\"\n \"Stored\" (n: 1)\n set b = \"${m} ${known}\"",
        "\"Stored\" (n: UNKNOWN)\n set a = \"${m} ${known}\"\n \"Stored\" (n: UNKNOWN)\n set b = \"${m} ${known}\"",
        "\"Stored\" (n: \"stop\") else set c = \"${m}\"",
        "set key = \"k\"\n MapValue(source: ${key}, map: json { \"k\": \"found\" }, target: \"a\")\n set b = ${a}",
        "set key = UNKNOWN\n MapValue(source: ${key}, map: json { \"k\": \"found\" }, target: \"a\") else { set a = \"none\" }\n set b = ${a}",
        "set text = \"x y\"\n Split(source: ${text}, separator: \" \", target: \"parts\")\n set a = ${parts[1]}\n set text = \"z\"",
        "set a = 1\n set b = 2\n set c = 3\n if UNKNOWN == \"POST\" { set a = \"${b}\" } else if UNKNOWN == \"PUT\" { set c = ${a} } else { set b = \"x${c}\" }",
        "set a = 1\n UNKNOWN == \"POST\" else UNKNOWN == \"GET\"\n set b = ${a}\n Split(source: ${a}, separator: \",\", target: \"m\")\n set c = ${m}",
        "set a = 1\n HandleErrors { set a = 2\n UNKNOWN == \"GET\"\n set b = 5\n \"Deep\" (n: UNKNOWN) } on error { set c = \"${a} ${b}\" }",
        "set a = 1\n ForEach item in split(UNKNOWN, \"E\") { set b = ${a}\n set a = \"x\"\n \"Stored\" (n: ${item}) }\n set c = ${m}",
        "set m = \"before\"\n Cached(cache: \"late\", key: UNKNOWN, keep: \"m\") { set c = ${a}\n set m = \"made\" }\n set a = ${m}\n set m = 4\n Cached(cache: \"late\", key: UNKNOWN, keep: \"m\") { set m = \"again\" }\n set b = ${m}",
        "set b = UNKNOWN\n set a = ${b}\n set b = \"x${a}\"\n set c = ${a}\n set a = ${c}\n set c = 1",
        "set a = UNKNOWN\n set b = ${a}\n set c = ${b}\n if ${c} == \"GET\" { set a = 1 } else { set b = 2 }\n set c = \"${a}${b}${c}\"",
        "set a = UNKNOWN\n set b = ${a}\n ForEach item in [1, 2] { set c = \"${c}${b}\"; set a = \"${a}${item}\" }",
        "set x = UNKNOWN\n \"Passes\" (n: ${x})\n set a = ${m}\n set x = 1\n set b = \"${q}${a}\"\n \"Passes\" (n: ${a}, k: ${b})\n set c = \"${m}${q}\"",
        "set a = UNKNOWN\n set b = \"b${a}\"\n \"Turns\" (a, b)\n set c = \"${a} ${b}\"\n \"Turns\" (a: ${c}, b: ${c})\n \"Turns\" (a: ${b}, b: \"x\")",
        "set a = \"stop\"\n set b = UNKNOWN\n \"Turns\" (a: \"s${c}top\", b) else set c = \"${a} ${b}\"",
        "set a = UNKNOWN\n set b = ${a}\n Split(source: ${b}, separator: \"E\", target: \"a\")\n set c = \"${a}${b}\"",
        "set a = UNKNOWN\n set b = ${a}\n default a = 1\n default m = ${b}\n set b = 3\n set c = \"${m}${a}\"",
        "set a = UNKNOWN\n HandleErrors { set b = ${a}\n set a = 5\n \"Deep\" (n: ${b}) } on error { set c = \"${a} ${b}\" }",
        "set m = UNKNOWN\n set b = ${m}\n Cached(cache: \"copies\", key: ${b}, keep: \"m\") { set a = ${m}\n set m = \"made ${a}\" }\n set c = \"${m} ${b}\"",
        "UNKNOWN == \"GET\"\n UNKNOWN starts with \"G\"\n UNKNOWN contains \"E\"\n set a = 1",
        "UNKNOWN == \"GET\"\n UNKNOWN starts with \"P\"\n UNKNOWN contains \"E\"\n set a = 1",
        "set a = UNKNOWN\n ${a} == \"GET\"\n not UNKNOWN == \"POST\"\n length(UNKNOWN) > 2\n ${a} == \"PUT\"\n fail 1",
        "AtLeastOne { All { UNKNOWN == \"GET\"; UNKNOWN == \"PUT\"; set a = 1 }; All { UNKNOWN == \"GET\"; UNKNOWN is not empty; set b = 2 } }",
        "UNKNOWN is not empty else { UNKNOWN == \"PUT\" }\n UNKNOWN == \"GET\"\n UNKNOWN == \"GET\"\n set a = 1",
        "ForEach item in [\"GET\", \"x\"] { UNKNOWN == \"GET\"\n UNKNOWN != ${item} else ${item} == \"GET\"\n UNKNOWN starts with \"G\"\n set a = \"${a}${item}\" }",
        "set a: message = message(\"<x/>\", \"text/xml\")\n AddHeader(target: \"a\", name: \"x\", value: \"1\")\n set b = ${a.http.header.x}",
    ];
    let commands = |(at, body): (usize, &&str)| {
        let body = body.replace("UNKNOWN", UNKNOWN).replace("REPLACED", REPLACED);
        format!("command \"c{at}\" (out a, out b, out c) {{ declare n: int\n declare m\n declare q\n {body} }}\n")
    };
    let left = both_ways(&format!("{CALLED}{}", bodies.iter().enumerate().map(commands).collect::<String>()));
    assert_eq!(left.len(), bodies.len());
}

/// What is left of a body that sets `a`.
fn left(body: &str) -> usize {
    both_ways(&format!("{CALLED}command \"c\" (out a) {{ {body} }}"))[0]
}

#[test]
fn what_is_known_costs_nothing() {
    // Setting the output remains.
    assert_eq!(left("set x = 1; set y = ${x} + 1; set a = \"${y}\""), 1);
    assert_eq!(
        left("set x = \"e\"; if ${x} is empty { set a = 1 } else if ${x} starts with \"e\" { set a = 2 }"),
        1,
        "nobody tells the failure"
    );
    assert_eq!(left("set x = \"e\"; AtLeastOne { ${x} is empty; ${request.http.method} is empty }; set a = 1"), 2);
    assert_eq!(left("set x = \"e\"; AtLeastOne { ${x} is empty; Stop }"), 1, "the failure is told");
    assert_eq!(left("\"Outer\" (); set a = 1"), 1, "nobody reads what it gives");
    assert_eq!(left("\"Inner\" (n: 1); set a = ${m}"), 1);
    assert_eq!(left("set unread = ${request.http.method}; set a = 1"), 1);
    // What is not known is done; what is known of it is a constant there.
    assert_eq!(left("set a = 1; if ${request.http.method} == \"POST\" { set a = 2 }"), 3);
    assert_eq!(left("set post = \"POST\"; ${request.http.method} == ${post}"), 1);
    // Originals are read, not their copies.
    assert_eq!(left("set x = ${request.http.method}; set y = ${x}; set z = ${y}; set a = \"${z}!\""), 2);
    assert_eq!(left("set x = ${request.http.method}; \"Deep\" (n: ${x}); set a = 1"), 2, "it only raises");
    // What is passed on has one place.
    assert_eq!(left("\"Inner\" (n: ${request.http.method}); set a = ${m}"), 2, "the input and the output");
    assert_eq!(left("GenerateHash(source: ${request.http.method}, target: \"x\"); \"Inner\" (n: ${x}); set a = ${m}"), 2);
    // What an assertion only reads stays known.
    assert_eq!(left("set m = \"text\"; AuditDetail(message: ${m}); if ${m} == \"text\" { set a = 1 }"), 2);
    // What does more than setting variables happens.
    assert_eq!(left("AuditDetail(message: \"m\")"), 1);
    assert_eq!(left("set m = \"text\"; AuditDetail(message: ${m})"), 1);
    assert_eq!(
        left("set m = \"text\"; Split(source: ${m}, separator: \" \", target: \"n\")"),
        2,
        "it reads its variables where they are"
    );
    assert_eq!(left("set n: int = ${request.http.method}"), 1, "it may fail");
    // Conditions in a row are one instruction more.
    assert_eq!(left("${request.http.method} == \"GET\"; ${request.id} is not empty; ${request.http.method} is not empty"), 4);
}

/// A policy of random statements.
struct Maker {
    random: StdRng,
    depth: usize,
}

impl Maker {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.random_range(0..of.len())]
    }

    fn variable(&mut self) -> &'static str {
        self.pick(&["a", "b", "c", "d", "m", "q"])
    }

    fn value(&mut self) -> String {
        let (one, other) = (self.variable(), self.variable());
        match self.random.random_range(0..11) {
            0 => self.pick(&["1", "\"GET\"", "\"x\"", "\"\"", "[\"x\", \"y\"]", "true"]).to_owned(),
            1 | 2 => UNKNOWN.to_owned(),
            3 | 8 | 9 => format!("${{{one}}}"),
            4 => format!("\"${{{one}}}${{{other}}}\""),
            5 => format!("length(${{{one}}})"),
            6 => format!("coalesce(${{{one}}}, ${{{other}}})"),
            7 => format!("(${{{one}}} == ${{{other}}})"),
            _ => format!("append(${{{one}}}, {UNKNOWN})"),
        }
    }

    fn condition(&mut self) -> String {
        let (variable, value) = (self.variable(), self.value());
        match self.random.random_range(0..6) {
            0 => format!("${{{variable}}} is empty"),
            1 => format!("${{{variable}}} is not empty"),
            2 => format!("{UNKNOWN} == \"GET\""),
            3 => format!("not ${{{variable}}} == {value}"),
            4 => format!("any ${{{variable}}} in [\"x\", \"1\", \"GET\"]"),
            _ => format!("${{{variable}}} == {value}"),
        }
    }

    fn block(&mut self) -> String {
        self.depth += 1;
        let count = if self.depth > 3 { 1 } else { self.random.random_range(1..5) };
        let statements: Vec<String> = (0..count).map(|_| self.statement()).collect();
        self.depth -= 1;
        statements.join("\n")
    }

    fn statement(&mut self) -> String {
        let (variable, value) = (self.variable(), self.value());
        let simple = self.depth > 3;
        match self.random.random_range(0..if simple { 11 } else { 22 }) {
            0..=2 => format!("set {variable} = {value}"),
            3 => format!("default {variable} = {value}"),
            4 => format!("set n: int = \"${{{variable}}}${{{}}}\" else set {variable} = \"no number\"", self.variable()),
            5 => self.condition(),
            6 => format!("\"Inner\" (n: {value})"),
            7 => self.pick(&["Stop", "fail ${a}", "Raise \"r ${b}\"", "Continue", "set a = 1"]).to_owned(),
            8 => format!("{}\n{}\n{}", self.condition(), self.condition(), self.condition()),
            9 => format!("GenerateHash(source: {value}, target: \"{variable}\", bytes: 4)"),
            10 => format!(
                "EncodeDecode(source: {value}, operation: \"base64-decode\", target: \"{variable}\") else {{ set {variable} = \"no\" }}"
            ),
            11 => format!("AtLeastOne {{ All {{ {} }}; All {{ {} }} }}", self.block(), self.block()),
            12 => format!("HandleErrors {{ {} }} on error {{ {} }}", self.block(), self.block()),
            13 => format!("ForEach item in {value} {{ set {variable} = ${{item}}\n {} }}", self.block()),
            14 => format!("\"Fails\" (n: {value}) else set {variable} = ${{code}}"),
            15 => format!("\"Unset\" (n: {value})"),
            16 => format!("\"Keeps\" (n: {value})"),
            17 => format!("\"Caught\" (n: {value})"),
            18 => format!("\"Passes\" (n: {value})"),
            19 => format!("\"Turns\" (a: {value}, b: ${{{variable}}})"),
            20 => format!("if {} {{ {} }} else {{ {} }}", self.condition(), self.block(), self.block()),
            _ => format!("\"Stored\" (n: {value})"),
        }
    }
}

#[test]
fn made_policies_do_the_same() {
    let mut maker = Maker { random: StdRng::seed_from_u64(14), depth: 0 };
    for _ in 0..4 {
        let mut text = CALLED.to_owned();
        for at in 0..40 {
            let (begin, body) = (maker.block(), maker.block());
            text.push_str(&format!(
                "command \"c{at}\" (out a, out b, out c, out m, out q) {{ declare d\n declare n: int\n declare code\n {begin}\n {body} }}\n"
            ));
        }
        assert_eq!(both_ways(&text).len(), 40);
    }
}

#[test]
fn a_value_that_is_known_is_that_of_the_run() {
    // Evaluating beforehand must not depend on anything but constants.
    for changing in ["now()", "${gateway.time}", "${service.name}", "cookie(\"a\")", "${gateway.x}"] {
        let site = site(&format!("command \"c\" (out a) {{ set a = {changing} }}"));
        let policy = site.library.commands().next().expect("a command");
        let frame = site.program.frames.get(&policy.id).expect("a program");
        let flat = super::now(&site.program, frame).expect("a flat form");
        assert!(!flat.code.iter().any(|instr| matches!(instr.op, Op::Values(_))), "{changing}");
    }
}
