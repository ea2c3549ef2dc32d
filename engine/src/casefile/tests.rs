//! The format: what it accepts, what it refuses, how patterns match.

use super::client::Answer;
use super::matching;
use super::step::{Case, StepKind};
use super::text::Vars;
use crate::services::store::Dialect;

const CASE: &str = r#"# A used code is refused.
== customization configuration/#limits.policy
customize "Limits" {
    set most = 3
}
== config
host_name: api.example
== command app: client add --name "My App" --json
{"key": "{*}"}
== request http a note
POST /token?a=1
  &b=2
Authorization: Basic {base64:{app.key}:x}
Content-Type: application/x-www-form-urlencoded

a=1
b=2&c=3
== response
200|201
content-type: application/json
!x-error
{"token": "{*:token}", "lifetime": 3600}
== clock +2h
== parallel 3
== request
GET /x
== responses
1x 200
2x 400 x-error: 7
"#;

fn vars(pairs: &[(&str, &str)]) -> Vars {
    let mut vars = Vars::default();
    for (name, value) in pairs {
        vars.set(*name, *value);
    }
    vars
}

/// The expectation written as a `== response` section, against an answer with this JSON or text.
fn check(expected: &str, headers: &[(&str, &str)], body: &str, vars: &mut Vars) -> Result<(), String> {
    let case =
        Case::parse("x.case", &format!("# X\n== request\nGET /\n== response\n200\n{expected}")).map_err(|e| e.to_string())?;
    let StepKind::Response(expected) = &case.steps[1].kind else { panic!("{case:?}") };
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let answer = Answer { status: 200, headers, body: body.as_bytes().to_vec() };
    matching::answer(expected, &answer, vars).map_err(|(line, message)| format!("{line}: {message}"))
}

#[test]
fn a_case_is_read() {
    let case = Case::parse("t.case", CASE).unwrap();
    assert_eq!(case.title, "A used code is refused.");
    let kinds: Vec<&StepKind> = case.steps.iter().map(|step| &step.kind).collect();
    let StepKind::File { path, content } = kinds[0] else { panic!("{kinds:?}") };
    assert_eq!(path, "customizations/configuration/#limits.policy");
    assert_eq!(content, b"customize \"Limits\" {\n    set most = 3\n}\n");
    let StepKind::Command { label, words, fails: false, expected: Some((9, _)) } = kinds[2] else { panic!("{:?}", kinds[2]) };
    assert_eq!((label.as_deref(), words.len()), (Some("app"), 5));
    let StepKind::Request(request) = kinds[3] else { panic!("{:?}", kinds[3]) };
    assert_eq!((request.secure, &*request.target, &*request.body), (false, "/token?a=1&b=2", "a=1&b=2&c=3"));
    let StepKind::Response(expected) = kinds[4] else { panic!("{:?}", kinds[4]) };
    assert_eq!((expected.status.as_slice(), expected.headers.len()), (&[200, 201][..], 2));
    assert!(matches!(kinds[5], StepKind::Clock(7_200_000)));
    assert!(matches!(kinds[8], StepKind::Responses(lines) if lines[1].0 == (2..=2)));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    for (text, line, part) in [
        ("== request\nGET /\n", 1, "first line must say"),
        ("# T\nGET /\n", 2, "before the first section"),
        ("# T\n== reqest\nGET /\n", 2, "no section `reqest`"),
        ("# T\n== request\nGET /\n", 1, "checks nothing"),
        ("# T\n== request\nGET\n== response\n200\n", 3, "method and a path"),
        ("# T\n== request\nGET /\nnonsense\n== response\n200\n", 4, "a header is"),
        ("# T\n== response\n200\n", 2, "no request before"),
        ("# T\n== request\nGET /\n== response\n20x\n", 5, "not a status"),
        ("# T\n== request\nGET /\n== responses\n1x 200\n", 4, "no `== parallel`"),
        ("# T\n== parallel 2\n== request\nGET /\n== response\n200\n", 5, "answered by `== responses`"),
        ("# T\n== clock 5\n", 2, "+3601s"),
        ("# T\n== nocookies\nx\n", 3, "takes no lines"),
        ("# T\n== browser\n", 2, "== browser NAME"),
        ("# T\n== file ../../etc/passwd\n", 2, "not a path in the home"),
        ("# T\n== request\nGET /\n== response\n200\n== file services/x.policy\n", 6, "== save PATH"),
        ("# T\n== raw\nGET \\q\n== response\n200\n", 3, "no escape"),
        ("# T\n== user \"a\n== request\nGET /\n", 2, "not closed"),
        ("# T\n== include nowhere.case\n", 2, "nowhere.case"),
    ] {
        let failure = Case::parse("t.case", text).unwrap_err();
        assert_eq!(failure.line, line, "{text}: {failure}");
        assert!(failure.message.contains(part), "{text}: {failure}");
    }
}

#[test]
fn placeholders_nest_and_unknown_ones_are_named() {
    let vars = vars(&[("key", "a:b"), ("secret", "x/y"), ("code", "c")]);
    assert_eq!(vars.expand("Basic {base64:{key}:{secret}}").unwrap(), "Basic YTpiOngveQ==");
    assert_eq!(vars.expand(r#"{"a": {"b": "{key}"}}"#).unwrap(), r#"{"a": {"b": "a:b"}}"#);
    assert_eq!(vars.expand(r#"{base64url:{"alg":"none"}}."#).unwrap(), "eyJhbGciOiJub25lIn0.");
    assert_eq!(vars.expand("{url:{secret} &}").unwrap(), "x%2Fy%20%26");
    // RFC 7636, appendix B.
    assert_eq!(
        vars.expand("{sha256:dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk}").unwrap(),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    assert_eq!(vars.expand("{part:.:1:a.b.c}{repeat:3:z}{add:3:-1}").unwrap(), "bzzz2");
    assert_eq!(
        vars.expand("[{list:3:{\"id\": \"a{nth}\", \"x\": {}}}]{list:0:z}").unwrap(),
        "[{\"id\": \"a1\", \"x\": {}},{\"id\": \"a2\", \"x\": {}},{\"id\": \"a3\", \"x\": {}}]"
    );
    assert_eq!(vars.expand("a { color: red }").unwrap(), "a { color: red }");
    assert!(vars.expand("{secrt}").unwrap_err().contains("did you mean `{secret}`"));
    assert!(vars.expand("{form:csrf}").unwrap_err().contains("no field `csrf`"));
}

#[test]
fn bodies_fit_or_say_why_not() {
    let got = r#"{"token":"t1","n":3600,"list":[1,{"a":"b"}],"empty":""}"#;
    let ok = |expected: &str| check(expected, &[], got, &mut vars(&[("n", "3600")]));
    ok(r#"{"token": "t1"}"#).unwrap();
    ok(r#"{"n": "{n}", "gone": "{!}", "empty": ""}"#).unwrap();
    ok(r#"{"list": [1, {"a": "{*}"}], "n": "{*}"}"#).unwrap();
    assert!(ok(r#"{"n": "3600"}"#).unwrap_err().contains("`$.n`"), "a text is not a number");
    assert!(ok(r#"{"gone": "{*}"}"#).unwrap_err().contains("`$.gone` is missing"));
    assert!(ok(r#"{"token": "{!}"}"#).unwrap_err().contains("should be absent"));
    assert!(ok(r#"= {"token": "t1"}"#).unwrap_err().contains("not expected"));
    assert!(ok(r#"{"list": [1]}"#).unwrap_err().contains("expected 1 elements"));
    check("= hello {*}", &[], "hello world\n", &mut Vars::default()).unwrap();
    check("\nhello\n/w.rld/\n!bye", &[], "say hello, world", &mut Vars::default()).unwrap();
    let error = check("\nhello\n!wor", &[], "hello world", &mut Vars::default()).unwrap_err();
    assert_eq!(error, "8: the body should not contain `wor`");
}

#[test]
fn headers_fit_and_capture() {
    let headers = [("Location", "https://app/cb?code=abc&state=x%20y"), ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2")];
    let mut kept = vars(&[("state", "x%20y")]);
    check("location: https://app/cb?code={*:code}&state={state}\nset-cookie: b={*:b}\n!x-error", &headers, "", &mut kept)
        .unwrap();
    assert_eq!((kept.get("code"), kept.get("b")), (Some("abc"), Some("2")));
    let error = check("location: https://app/cb?code={*}&state=other", &headers, "", &mut kept).unwrap_err();
    assert!(error.contains("expected header `location: https://app/cb?code={*}&state=other`, got `https://app"), "{error}");
    assert!(check("!set-cookie", &headers, "", &mut kept).unwrap_err().contains("expected no `set-cookie`"));
}

#[test]
fn a_pages_fields_are_found() {
    let html = r#"<form method="post" action="/login?a=1&amp;b=2"><INPUT type=hidden name=csrf value='a&#34;b&lt;'/>
        <input name="user"><button name="action" value="go">Go</button></form>"#;
    let (fields, action) = super::page::fields(html);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("csrf", "a\"b<"), ("user", ""), ("action", "go")]);
    assert_eq!(action.as_deref(), Some("/login?a=1&b=2"));
}

#[test]
fn cookies_have_paths_and_end() {
    let mut jar = super::cookies::Jar::default();
    jar.take("a=1; Path=/; Secure", "/x/y", 0);
    jar.take("b=2", "/x/y", 0);
    jar.take("c=3; Max-Age=10; Path=/", "/", 0);
    assert_eq!(jar.field("/x/z", true, 0).as_deref(), Some("a=1; b=2; c=3"));
    assert_eq!(jar.field("/xy", false, 10_000), None);
    jar.take("a=; Path=/; Max-Age=0", "/", 0);
    assert_eq!(jar.field("/", true, 20_000), None);
}

#[test]
fn a_case_may_be_about_some_databases_only() {
    let case = |line: &str| Case::parse("x.case", &format!("# X\n{line}\n== request\nGET /\n== response\n200\n"));
    let about = |case: &Case| [Dialect::Sqlite, Dialect::MySql, Dialect::Postgres].map(|dialect| case.is_about(dialect));
    assert_eq!(about(&case("").unwrap()), [true; 3]);
    assert_eq!(about(&case("== only sqlite").unwrap()), [true, false, false]);
    assert_eq!(about(&case("== only mysql postgres").unwrap()), [false, true, true]);
    for line in ["== only", "== only oracle", "== only sqlite oracle"] {
        assert!(case(line).unwrap_err().message.contains("`== only DIALECT…`"), "{line}");
    }
}
