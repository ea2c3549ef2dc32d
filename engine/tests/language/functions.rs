//! The pure functions, as rows: an expression and its result as JSON, which shows the type.

use portcullis_dsl::Origin;

use crate::harness;

const ROWS: &[(&str, &str)] = &[
    // Lists
    (r#"split("a b", " ")"#, r#"["a","b"]"#),
    (r#"split("a,,b,", ",")"#, r#"["a","","b",""]"#),
    (r#"split("", ",")"#, "[]"),
    (r#"split("ab", "")"#, r#"["ab"]"#),
    (r#"words("  a   b ")"#, r#"["a","b"]"#),
    (r#"words("")"#, "[]"),
    (r#"join(["a", "b"], "+")"#, r#""a+b""#),
    (r#"count(["a", "b"])"#, "2"),
    (r#"count("")"#, "1"),
    ("count(${request.http.header.x-missing})", "0"),
    (r#"first(["a", "b"])"#, r#""a""#),
    (r#"last(["a", "b"])"#, r#""b""#),
    (r#"index_of(["a", "b", "b"], "b")"#, "1"),
    (r#"index_of(["a", "b"], "c")"#, "-1"),
    (r#"coalesce(property("no.such.property"), "none")"#, r#""none""#),
    (r#"at(["a", "b"], 1)"#, r#""b""#),
    (r#"coalesce(at(["a"], 5), "none")"#, r#""none""#),
    (r#"coalesce(at(["a"], 0 - 1), "none")"#, r#""none""#),
    (r#"append(["a"], "b", ["c", "d"])"#, r#"["a","b","c","d"]"#),
    (r#"unique(["a", "b", "a"])"#, r#"["a","b"]"#),
    (r#"intersect(["a", "b", "c"], ["c", "a"])"#, r#"["a","c"]"#),
    (r#"difference(["a", "b", "c"], ["c", "a"])"#, r#"["b"]"#),
    (r#"coalesce("", ${request.http.header.x-missing}, "c", "d")"#, r#""c""#),
    // Texts and numbers
    (r#"lower("ÀB")"#, r#""àb""#),
    (r#"upper("àb")"#, r#""ÀB""#),
    (r#"trim("  a b ")"#, r#""a b""#),
    (r#"length("héé")"#, "3"),
    (r#"bytes("héé")"#, "5"),
    ("text(42)", r#""42""#),
    (r#"text(["a", "b"])"#, r#""a, b""#),
    (r#"int(" 42 ")"#, "42"),
    (r#"coalesce(int("4x"), "none")"#, r#""none""#),
    (r#"replace("a.b.c", ".", "-")"#, r#""a-b-c""#),
    (r#"replace("abc", "", "-")"#, r#""abc""#),
    (r#"substring("héllo", 1)"#, r#""éllo""#),
    (r#"substring("héllo", 1, 2)"#, r#""él""#),
    (r#"substring("abc", 9)"#, r#""""#),
    (r#"substring("abc", 0 - 2, 2)"#, r#""ab""#),
    (r#"before("a:b:c", ":")"#, r#""a""#),
    (r#"before("abc", ":")"#, r#""abc""#),
    (r#"after("a:b:c", ":")"#, r#""b:c""#),
    (r#"after("abc", ":")"#, r#""""#),
    (r#"regex_escape("a.b$")"#, r#""a\\.b\\$""#),
    (r#"min(5, "3", "x", 9)"#, "3"),
    (r#"max(5, "3", "x", 9)"#, "9"),
    (r#"iif("TRUE", "a", "b")"#, r#""a""#),
    (r#"iif("", "a", "b")"#, r#""b""#),
    // Moments
    (r#"iif(text(now()), "", length(text(now())))"#, "10"),
    ("length(text(now_ms()))", "13"),
    (r#"format_time(0, "rfc1123")"#, r#""Thu, 01 Jan 1970 00:00:00 GMT""#),
    (r#"format_time(1795341600, "iso8601")"#, r#""2026-11-22T10:00:00.000Z""#),
    (r#"format_time(1795341600, "yyyy-MM-dd'T'HH:mm:ssXXX")"#, r#""2026-11-22T10:00:00Z""#),
    (r#"format_time(1795341600, "EEE d MMM yy, HH:mm", "America/New_York")"#, r#""Sun 22 Nov 26, 05:00""#),
    (r#"format_time(1795341600, "HH:mm XXX", "+05:30")"#, r#""15:30 +05:30""#),
    // What is no constant is looked at when it runs.
    (r#"coalesce(format_time(0, text("%Y")), "none")"#, r#""none""#),
    (r#"coalesce(format_time(0, "yyyy", text("Mars")), "none")"#, r#""none""#),
    ("length(${gateway.time.yyyy-MM-dd})", "10"),
    (r#"(substring(${gateway.time.utc}, 0, 4) == ${gateway.time.yyyy})"#, "true"),
    // Messages and XML
    (r#"text(message("a", "text/x"))"#, r#""a""#),
    (
        r#"xml_rows(json [{ "id": 1, "n": "a<b" }, { "id": 2, "n": null }], "j:all", "urn:j")"#,
        r#""<j:all xmlns:j=\"urn:j\"><j:row><j:col name=\"id\">1</j:col><j:col name=\"n\">a&lt;b</j:col></j:row><j:row><j:col name=\"id\">2</j:col><j:col name=\"n\"/></j:row></j:all>""#,
    ),
    (r#"xml_rows(json [], "all", "")"#, r#""<all/>""#),
    (r#"xml_rows(json [{ "a": 1 }], "all", "urn:a")"#, r#""<all xmlns=\"urn:a\"><row><col name=\"a\">1</col></row></all>""#),
    (r#"coalesce(xml_rows(json [], "a b", ""), "none")"#, r#""none""#),
    (r#"coalesce(xml_rows(json [], "p:a", ""), "none")"#, r#""none""#),
    (r#"coalesce(xml_rows("no rows", "a", ""), "none")"#, r#""none""#),
    // The request
    (r#"coalesce(cookie("a"), "none")"#, r#""none""#),
    // Addresses
    (r#"network("192.0.2.77")"#, r#""192.0.2.77/32""#),
    (r#"network("192.0.2.77", 24)"#, r#""192.0.2.0/24""#),
    (r#"network("2001:db8:1:2:3:4:5:6")"#, r#""2001:db8:1:2::/64""#),
    (r#"network("2001:db8:1:2::6", 32, 48)"#, r#""2001:db8:1::/48""#),
    (r#"network("::ffff:192.0.2.77")"#, r#""192.0.2.77/32""#),
    (r#"network("192.0.2.77", 99, 999)"#, r#""192.0.2.77/32""#),
    (r#"network("::1", 0, 0 - 1)"#, r#""::/0""#),
    (r#"network("elsewhere")"#, r#""elsewhere""#),
    // URIs
    (r#"url_encode("a b+c/é~")"#, r#""a%20b%2Bc%2F%C3%A9~""#),
    (r#"url_decode("a%20b+%C3%A9")"#, r#""a b+é""#),
    (r#"coalesce(url_decode("%zz"), "none")"#, r#""none""#),
    (r#"coalesce(url_decode("%ff"), "none")"#, r#""none""#),
    (r#"form_encode("a b+c")"#, r#""a+b%2Bc""#),
    (r#"form_decode("a+b%2Bc")"#, r#""a b+c""#),
    (r#"coalesce(form_decode("%"), "none")"#, r#""none""#),
    (r#"with_query("https://a.example/cb", json { "code": "a b" })"#, r#""https://a.example/cb?code=a%20b""#),
    (
        r#"with_query("https://a.example/cb?x=1", json { "code": "c", "state": "&=#" })"#,
        r#""https://a.example/cb?x=1&code=c&state=%26%3D%23""#,
    ),
    (r#"with_query("https://a.example/cb?", json { "code": "c" })"#, r#""https://a.example/cb?code=c""#),
    (r#"with_query("https://a.example/cb?x&", json { "code": "c" })"#, r#""https://a.example/cb?x&code=c""#),
    (r##"with_query("https://a.example/cb#top", json { "code": "c" })"##, r##""https://a.example/cb?code=c#top""##),
    (r##"with_query("https://a.example/cb?x=1#a?b", json { "code": "c" })"##, r##""https://a.example/cb?x=1&code=c#a?b""##),
    (r#"with_query("app:/cb", json { "a": "", "b": "2", "c"?: ${request.http.header.x-missing} })"#, r#""app:/cb?b=2""#),
    (r#"with_query("app:/cb", json { "a": "" })"#, r#""app:/cb""#),
    (r#"with_query("app:/cb", json { "r": ["x", "y"] })"#, r#""app:/cb?r=x&r=y""#),
    (r##"with_fragment("https://a.example/cb", json { "t": "a/b", "s": "" })"##, r##""https://a.example/cb#t=a%2Fb""##),
    (r##"with_fragment("https://a.example/cb?x=1#y=2", json { "t": "a" })"##, r##""https://a.example/cb?x=1#y=2&t=a""##),
    (r##"with_fragment("https://a.example/cb#", json { "t": "a" })"##, r##""https://a.example/cb#t=a""##),
    (r#"base64("a?>")"#, r#""YT8+""#),
    (r#"base64url("a?>")"#, r#""YT8-""#),
    (r#"bytes(nfc("e\u{301}"))"#, "2"),
    (r#"hex("aé")"#, r#""61c3a9""#),
    // JSON
    (r#"json_get(json { "a": { "b": [1, 2] } }, "a.b")"#, "[1,2]"),
    (r#"json_get("{\"a\": true}", "a")"#, "true"),
    (r#"json_get("{\"a\": 1.5}", "$.a")"#, "1.5"),
    (r#"json_get(json { "a": { "b": "x" } }, "$['a']")"#, r#"{"b":"x"}"#),
    (r#"json_get(json [{ "n": 1 }, { "n": 2 }], "$[*].n")"#, "[1,2]"),
    (r#"coalesce(json_get("not JSON", "a"), "none")"#, r#""none""#),
    (r#"coalesce(json_get(json { "a": null }, "a"), "none")"#, r#""none""#),
    (r#"coalesce(json_get(json {}, "$["), "none")"#, r#""none""#),
    (r#"json_array("a")"#, r#"["a"]"#),
    ("json_array(${request.http.header.x-missing})", "[]"),
    (r#"json_keys(json { "b": 1, "a": 2 })"#, r#"["b","a"]"#),
    (r#"json_keys("[]")"#, "[]"),
    (r#"json_merge(json { "a": 1, "b": 2 }, json { "b": 3 }, "no JSON")"#, r#"{"a":1,"b":3}"#),
    (r#"json_type(json { "a": [1] }, "a")"#, r#""array""#),
    (r#"json_type(json { "a": { "b": "1" } }, "a.b")"#, r#""string""#),
    (r#"json_type(json { "a": 1, "b": true }, "b")"#, r#""boolean""#),
    (r#"json_type(json { "a": 1 }, "a")"#, r#""number""#),
    (r#"json_type(json { "a": null }, "a")"#, r#""null""#),
    (r#"json_type(json { "a": {} }, "a")"#, r#""object""#),
    (r#"coalesce(json_type(json { "a": 1 }, "b"), "absent")"#, r#""absent""#),
    (r#"json_without(json { "a": 1, "b": 2 }, "a")"#, r#"{"b":2}"#),
    (r#"json_without(json { "a": { "b": 1, "c": 2 } }, "a.b")"#, r#"{"a":{"c":2}}"#),
    (r#"json_without(json { "a": 1 }, "a.b.c")"#, r#"{"a":1}"#),
    (r#"numeric_date(json { "exp": 12 }, "exp")"#, "12"),
    (r#"coalesce(numeric_date("{\"exp\": 1e30}", "exp"), "none")"#, r#""none""#),
];

#[test]
fn functions_give_what_their_rows_say() {
    let mut text = String::new();
    for (at, (expression, _)) in ROWS.iter().enumerate() {
        text.push_str(&format!("command \"row {at}\" (out r) {{\n    set r = json [{expression}]\n}}\n"));
    }
    let site = harness::site(&[("rows.policy", &text, Origin::Operator)]).unwrap_or_else(|errors| panic!("{errors}"));
    let mut wrong = String::new();
    for (at, (expression, expected)) in ROWS.iter().enumerate() {
        let outcome = harness::command(&site, &format!("row {at}"));
        let found = outcome.outputs.get("r").map_or("", String::as_str);
        if found != format!("[{expected}]") {
            wrong.push_str(&format!("{expression}\n  expected [{expected}]\n  found    {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_function_has_a_row() {
    for function in portcullis::catalogue::functions() {
        let call = format!("{}(", function.spec.name);
        assert!(ROWS.iter().any(|(expression, _)| expression.contains(&call)), "no row exercises `{}`", function.spec.name);
    }
}

#[test]
fn functions_are_described() {
    let mut seen = std::collections::HashSet::new();
    for function in portcullis::catalogue::functions() {
        let spec = &function.spec;
        assert!(seen.insert(spec.name), "two functions `{}`", spec.name);
        assert!(spec.name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'), "{}", spec.name);
        assert!(!spec.doc.is_empty() && !spec.doc.ends_with('.'), "{}: one sentence without full stop", spec.name);
        assert!(spec.required <= spec.params.len(), "{}", spec.name);
    }
}
