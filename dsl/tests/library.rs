//! What the compiler relies on: frames and their names, absent hooks, data files. Also checks that size and depth of a set do no
//! harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod catalogue;

use std::fmt::Write;
use std::time::{Duration, Instant};

use portcullis_dsl::{Access, Frame, Library, Origin, Severity, Sources, codes, load};

fn library(files: &[(&str, &str)]) -> Library {
    let mut sources = Sources::default();
    for (path, text) in files {
        let origin = if path.starts_with("customizations/") { Origin::Customization } else { Origin::Shipped };
        match path.ends_with(".policy") {
            true => drop(sources.add(*path, text.to_string(), origin)),
            false => drop(sources.data.insert(path.to_string(), text.to_string().into())),
        }
    }
    let (library, diagnostics) = load(sources, &catalogue::catalogue());
    let errors: Vec<_> = diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    library
}

fn frame<'a>(library: &'a Library, name: &str) -> &'a Frame {
    let policy =
        library.policies().iter().find(|policy| policy.name == name && policy.owns_frame()).expect("a policy with a frame");
    library.frame(policy.id).expect("a frame")
}

fn names(frame: &Frame) -> Vec<&str> {
    (0..frame.slots()).map(|slot| frame.name(slot)).collect()
}

#[test]
fn parameters_come_first_in_the_order_of_their_declaration() {
    let library = library(&[("a.policy", r#"assertion "a" (in B, out c, in a = 5) { set z = ${b}; set c = "${z}${a}" }"#)]);
    assert_eq!(names(frame(&library, "a")), ["B", "c", "a", "z"]);
    assert_eq!(frame(&library, "a").slot("b"), Some(0));
}

#[test]
fn a_policy_is_customized_by_what_takes_part_in_it_wherever_that_stands() {
    let library = library(&[
        ("a.policy", r#"service "s" at "/s" errors "e" { include "f"; Respond() }"#),
        ("b.policy", r#"service "t" at "/t" errors "e" { include "g"; Respond() }"#),
        ("f.policy", r##"fragment "f" { "h" (); include "g"; include "g" }"##),
        ("g.policy", r##"fragment "g" { set g = 1; include "#g"; Respond(body: ${g}) }"##),
        ("h.policy", r##"assertion "h" { include extension "x"; include "#h" }"##),
        ("e.policy", r#"assertion "e" (in number, out code) { set code = ${number} }"#),
        ("customizations/h.policy", r#"customize "h" { } extension "x" { Respond() }"#),
        ("customizations/g.policy", r#"customize "g" { set g = 2 }"#),
    ]);
    let files = |name: &str| {
        let policy = library.services().find(|policy| policy.name == name).expect("a service");
        let by = library.customizations_in(policy);
        by.into_iter().map(|policy| format!("{} {}", library.sources().get(policy.file).path, policy.name)).collect::<Vec<_>>()
    };
    assert_eq!(files("s"), ["customizations/g.policy g", "customizations/h.policy x"]);
    assert_eq!(files("t"), ["customizations/g.policy g"]);
}

#[test]
fn what_is_included_shares_the_frame_and_a_called_assertion_gives_its_outputs() {
    let library = library(&[
        ("a.policy", r#"service "s" at "/s" errors "e" { include "f"; Respond(body: ${code}) }"#),
        ("f.policy", r##"fragment "f" { set f = 1; Respond(body: "${f}${hook}${ext}"); include "#f"; include extension "x" }"##),
        ("e.policy", r#"assertion "e" (in number, out code) { set inner = ${number}; set code = ${inner} }"#),
        ("customizations/f.policy", r#"customize "f" { set hook = 1 } extension "x" { set ext = 1 }"#),
    ]);
    let mut found = names(frame(&library, "s"));
    found.sort_unstable();
    assert_eq!(found, ["code", "ext", "f", "hook"]);
    assert_eq!(names(frame(&library, "e")), ["number", "code", "inner"]);
}

#[test]
fn an_empty_hook_or_extension_is_absent() {
    let library = library(&[
        ("a.policy", r##"service "s" at "/s" { include "#s"; include extension "x"; include extension "y" }"##),
        ("customizations/a.policy", r#"customize "s" { } extension "x" { }"#),
        ("customizations/b.policy", r#"extension "y" { Continue }"#),
    ]);
    assert!(library.hook("s").is_none());
    assert!(library.extension("x").is_none());
    assert!(library.extension("y").is_some());
}

#[test]
fn a_prefix_gives_slots_to_what_is_read() {
    let library = library(&[(
        "a.policy",
        r#"service "s" at "/s" {
            SqlQuery(connection: "db", query: sql "select a, b from t", prefix: "Row")
            Respond(body: "${row.A} ${row.b} ${row.queryresult.count} ${row.queryresult.count.x}")
        }"#,
    )]);
    let frame = frame(&library, "s");
    let mut found: Vec<_> = frame.with_prefix("ROW").into_iter().map(|(rest, _)| rest).collect();
    found.sort_unstable();
    assert_eq!(found, ["a", "b", "queryresult.count", "rows"]);
    assert!(frame.with_prefix("ro").is_empty());
}

#[test]
fn a_member_of_a_document_keeps_its_case() {
    let library = library(&[(
        "a.policy",
        r#"service "s" at "/s" { DecodeJwt(); Respond(body: "${JWT.Payload.Sub} ${jwt.payload.sub} ${jwt.payload.act.Sub}") }"#,
    )]);
    let frame = frame(&library, "s");
    let payload = frame.slot("jwt.payload").expect("a slot");
    for (name, member) in [("JWT.Payload.Sub", "Sub"), ("jwt.PAYLOAD.sub", "sub"), ("jwt.payload.act.Sub", "act.Sub")] {
        assert!(matches!(frame.access(name), Access::Member(at, rest) if at == payload && rest == member), "{name}");
    }
    assert!(matches!(frame.access("jwt.payload.NAMES"), Access::Slot(_)));
}

#[test]
fn a_name_is_a_variable_or_a_part_of_one_or_a_built_in() {
    let library = library(&[(
        "a.policy",
        r#"assertion "a" (in request.http.header.own, in Msg, in msg.body) { set _a = "${request.http.header.own}${msg}${msg.body}" }"#,
    )]);
    let frame = frame(&library, "a");
    let slot = |name: &str| frame.slot(name).expect("a slot");
    assert!(matches!(frame.access("MSG"), Access::Slot(at) if at == slot("msg")));
    assert!(matches!(frame.access("msg.Status.Line"), Access::Selector(at, rest) if at == slot("msg") && rest == "Status.Line"));
    assert!(matches!(frame.access("msg.body.x"), Access::Selector(at, rest) if at == slot("msg.body") && rest == "x"));
    assert!(matches!(frame.access("request.http.header.OWN"), Access::Slot(_)), "a variable hides the built-in of its name");
    assert!(
        matches!(frame.access("request.http.header.other"), Access::Builtin(family) if family.name == "request.http.header.*")
    );
    assert!(matches!(frame.access("message"), Access::Unknown));
}

#[test]
fn data_files_are_read_as_what_they_are_used_as() {
    let library = library(&[
        (
            "auth/a.policy",
            r#"service "s" at "/s" { set x = 1; Respond(body: html file "l.html"); Respond(body: json file "a.json") }"#,
        ),
        ("auth/l.html", "<p>${x}</p>"),
        ("auth/a.json", r#"{ "a": ${x} }"#),
    ]);
    let from = library.policies()[0].file;
    assert_eq!(library.data(from, "l.html"), Some(("auth/l.html", "<p>${x}</p>")));
    assert_eq!(library.template(from, "l.html").map(<[_]>::len), Some(3));
    assert!(library.json_template(from, "a.json").is_some());
    assert!(library.json_template(from, "l.html").is_none());
}

#[test]
fn thousands_of_fragments_in_a_row_are_refused_and_nothing_overflows() {
    let count = 3_000;
    let mut text = "service \"s\" at \"/s\" { include \"f0\" }\n".to_owned();
    for at in 0..count {
        writeln!(text, "fragment \"f{at}\" {{ include \"f{}\" }}", (at + 1) % (count + 1)).expect("a string takes everything");
    }
    let closed = format!("{text}fragment \"f{count}\" {{ include \"f0\" }}\n");
    let open = format!("{text}fragment \"f{count}\" {{ Continue }}\n");
    for (text, codes) in [(closed, &[codes::TOO_LARGE, codes::CYCLE][..]), (open, &[codes::TOO_LARGE])] {
        let mut sources = Sources::default();
        sources.add("a.policy", text, Origin::Shipped);
        let (_, diagnostics) = load(sources, &catalogue::catalogue());
        let found: Vec<_> = diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(found, codes);
    }
}

#[test]
fn includes_that_double_at_each_step_are_refused() {
    let mut text = "service \"s\" at \"/s\" { include \"f0\" }\nfragment \"f30\" { Continue }\n".to_owned();
    for at in 0..30 {
        writeln!(text, "fragment \"f{at}\" {{ include \"f{0}\"; include \"f{0}\" }}", at + 1).expect("a string takes everything");
    }
    let mut sources = Sources::default();
    sources.add("a.policy", text, Origin::Shipped);
    let (_, diagnostics) = load(sources, &catalogue::catalogue());
    assert_eq!(diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(), [codes::TOO_LARGE]);
}

/// A set of the shipped size. Resolving is far cheaper than parsing, however busy the machine is; a walk that is quadratic in the
/// set would show.
#[test]
fn four_hundred_policies_resolve_at_once() {
    let mut sources = Sources::default();
    for at in 0..300 {
        let mut text = format!("/// Fragment {at}.\nfragment \"f{at}\" {{\n");
        for line in 0..4 {
            writeln!(text, "    set v{at}.{line} = \"${{request.http.header.h{line}}} text\"\n    ${{v{at}.{line}}} is not empty else Continue")
                .expect("a string takes everything");
        }
        if at >= 3 {
            writeln!(text, "    include \"f{}\"\n    include \"f{}\"", at / 2, at / 3).expect("a string takes everything");
        }
        sources.add(format!("fragments/f{at}.policy"), text + "}\n", Origin::Shipped);
    }
    for at in 0..100 {
        let includes: String = (0..15).map(|n| format!("    include \"f{}\"\n", (at * 7 + n * 13) % 300)).collect();
        sources.add(
            format!("policies/s{at}.policy"),
            format!("service \"s{at}\" at \"/s{at}\" {{\n{includes}}}\n"),
            Origin::Shipped,
        );
    }
    let catalogue = catalogue::catalogue();
    let parse = Instant::now();
    for (at, file) in sources.files.iter().enumerate() {
        drop(portcullis_dsl::parse(portcullis_dsl::FileId(at as u32), &file.text));
    }
    let parse = parse.elapsed();
    let all = Instant::now();
    let (library, diagnostics) = load(sources, &catalogue);
    let all = all.elapsed();
    assert_eq!((library.policies().len(), diagnostics.len()), (400, 0));
    assert!(all < 4 * parse + Duration::from_secs(1), "parse {parse:?}, load {all:?}");
}
