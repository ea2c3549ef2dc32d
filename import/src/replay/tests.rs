//! What the readers give for the files in `tests/replay`, and what comparisons find.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    files: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    requests: Vec<Wanted>,
    #[serde(default)]
    skipped: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    line: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    answer: Option<u16>,
    #[serde(default)]
    wants: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comparison {
    what: String,
    media: String,
    left: String,
    right: String,
    #[serde(default)]
    left_headers: BTreeMap<String, String>,
    #[serde(default)]
    right_headers: BTreeMap<String, String>,
    #[serde(default)]
    ignored: Vec<String>,
    found: BTreeMap<String, String>,
}

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/replay").join(name)).unwrap()
}

fn input(name: &str) -> Input {
    Input { path: name.to_owned(), bytes: data(name) }
}

fn bad(path: &str, bytes: &[u8]) -> Recording {
    read(&[Input { path: path.to_owned(), bytes: bytes.to_vec() }], &BTreeMap::new())
}

#[test]
fn every_file_gives_its_requests() {
    let readings: Vec<Reading> = serde_yaml::from_slice(&data("requests.yaml")).unwrap();
    for reading in readings {
        let inputs: Vec<Input> = reading.files.iter().map(|name| input(name)).collect();
        let recording = read(&inputs, &reading.variables);
        let files = &reading.files;
        assert!(recording.unusable.is_empty(), "{files:?}: {:?}", recording.unusable);
        let lines = |request: &Recorded| match &request.origin {
            Some(origin) => format!("{} {origin} {}", request.method, request.target),
            None => format!("{} {}", request.method, request.target),
        };
        let own: Vec<String> = recording.requests.iter().map(lines).collect();
        let wanted: Vec<&str> = reading.requests.iter().map(|wanted| wanted.line.as_str()).collect();
        assert_eq!(own, wanted, "{files:?}: {:?}", recording.skipped);
        for (request, wanted) in recording.requests.iter().zip(&reading.requests) {
            let headers: BTreeMap<String, String> = request.headers.iter().cloned().collect();
            assert_eq!(headers, wanted.headers, "{files:?} {}", wanted.line);
            let wants: Vec<&String> = request.wants.iter().map(|(_, name)| name).collect();
            assert_eq!(wants, wanted.wants.iter().collect::<Vec<_>>(), "{files:?} {}", wanted.line);
            assert_eq!(String::from_utf8_lossy(&request.body), wanted.body, "{files:?} {}", wanted.line);
            assert_eq!(request.answer.as_ref().map(|answer| answer.status), wanted.answer, "{files:?} {}", wanted.line);
        }
        assert_eq!(recording.skipped.len(), reading.skipped.len(), "{files:?}: {:?}", recording.skipped);
        for (skipped, wanted) in recording.skipped.iter().zip(&reading.skipped) {
            assert!(skipped.why.contains(wanted.as_str()), "{files:?}: {skipped:?} is not {wanted}");
        }
    }
}

#[test]
fn recorded_answers_are_kept_as_they_were() {
    let recording = read(&[input("gateway.har")], &BTreeMap::new());
    let answers: Vec<&Answer> = recording.requests.iter().map(|request| request.answer.as_ref().unwrap()).collect();
    assert_eq!(answers[1].headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    assert_eq!(answers[1].body.as_deref(), Some(&b""[..]));
    assert_eq!(answers[2].body.as_deref(), Some(&[0, 1, 2][..]));
}

#[test]
fn comparisons_find_what_differs() {
    let comparisons: Vec<Comparison> = serde_yaml::from_slice(&data("comparisons.yaml")).unwrap();
    for one in comparisons {
        let answer = |headers: &BTreeMap<String, String>, body: &str| {
            let mut headers: Vec<(String, String)> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            headers.push(("Content-Type".to_owned(), one.media.clone()));
            Answer { status: 200, headers, body: Some(body.as_bytes().to_vec()) }
        };
        let (left, right) = (answer(&one.left_headers, &one.left), answer(&one.right_headers, &one.right));
        let left = Side { answer: &left, origin: Some("https://old.example") };
        let right = Side { answer: &right, origin: Some("http://new.example:8080") };
        let (differences, _) = compare(left, right, &one.ignored);
        let kind = |kind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
        let found: BTreeMap<String, String> = differences.iter().map(|own| (own.place.clone(), kind(own.kind))).collect();
        assert_eq!(found, one.found, "{}", one.what);
    }
}

#[test]
fn no_secret_is_shown() {
    for (text, shown) in [
        ("grant_type=password&password=abc&username=me", "grant_type=password&password=***&username=me"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("{\"client_secret\": \"abc\", \"n\": 1}", "{\"client_secret\": \"***\", \"n\": 1}"),
        ("see 0e4b1b1c-58a6-4b6a-9c5c-2f6f1a5d7e11 and k3JvQ9xT2mZp8LwB4nYc", "see *** and ***"),
        ("Bearer realm=\"one\", error=\"x\"", "Bearer realm=\"one\", error=\"x\""),
        ("the given token is not valid", "the given token is not valid"),
        ("the_name_of_something_long invalid_request", "the_name_of_something_long invalid_request"),
    ] {
        assert_eq!(mask(text), shown);
    }
    assert_eq!(mask_target("/a?code=abc&state=x&client_secret=s"), "/a?code=***&state=x&client_secret=***");
}

#[test]
fn what_is_no_recording_is_said() {
    for (path, bytes, why) in [
        ("a.json", &b"{"[..], "not JSON: line 1, column 1"),
        ("a.json", b"{}", "neither a HAR file"),
        ("a.xml", b"<a/>", "not a SoapUI project"),
        ("a.xml", b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "line 1"),
        ("a.har", b"\xff", "not UTF-8"),
    ] {
        let recording = bad(path, bytes);
        assert!(recording.unusable.len() == 1 && recording.unusable[0].why.contains(why), "{path}: {:?}", recording.unusable);
    }
    let deep = format!("{}{}", "{\"item\": [".repeat(60), "]}".repeat(60));
    let recording = bad("deep.json", deep.as_bytes());
    assert!(recording.skipped.iter().any(|one| one.why.contains("nested")), "{recording:?}");
    let many = format!("{{\"item\": [{}]}}", vec!["{\"request\": \"http://a/\"}"; MAX_REQUESTS + 1].join(","));
    assert!(bad("many.json", many.as_bytes()).unusable[0].why.contains("more than"));
    // A variable in itself does not end the program.
    let own = bad("own.json", br#"{"variable": [{"key": "a", "value": "{{a}}{{a}}"}], "item": [{"request": "http://h/{{a}}"}]}"#);
    assert!(own.requests.len() == 1 && own.requests[0].wants.len() == 1, "{own:?}");
}

#[test]
fn later_requests_carry_what_the_gateway_gave() {
    let mut carried = Carried::default();
    carried.learn([("old+token/1".to_owned(), "new".to_owned()), ("same".to_owned(), "same".to_owned())]);
    let request = Recorded {
        target: "/a?t=old%2Btoken%2F1".to_owned(),
        headers: vec![("Authorization".to_owned(), "Bearer old+token/1".to_owned())],
        body: b"old+token/1".to_vec(),
        ..Recorded::default()
    };
    let own = carried.apply(&request);
    assert_eq!((own.target.as_str(), own.headers[0].1.as_str(), &own.body[..]), ("/a?t=new", "Bearer new", &b"new"[..]));
}

#[test]
fn what_nothing_recorded_says_is_carried_by_name() {
    let mut carried = Carried::default();
    let mut request = Recorded {
        target: in_url("/a/{{code}}?n={{code}}"),
        headers: vec![
            ("Authorization".to_owned(), "Bearer {{access_token}}".to_owned()),
            ("Cookie".to_owned(), "s=old; k=1".to_owned()),
        ],
        body: b"csrf={{csrf}}".to_vec(),
        wants: ["code", "access_token", "csrf"].map(|name| (format!("{{{{{name}}}}}"), name.to_owned())).into(),
        ..Recorded::default()
    };
    assert_eq!(carried.missing(&request).len(), 3);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    carried.learn_names(&Answer {
        status: 302,
        headers: vec![
            header("Location", "https://a/cb?code=a%2Fb&state=x"),
            header("Set-Cookie", "s=new; Path=/"),
            header("set-cookie", "t=2"),
        ],
        body: Some(br#"<input value="one &amp; two" type="hidden" name="csrf"/>"#.to_vec()),
    });
    carried.learn_names(&Answer { status: 200, headers: Vec::new(), body: Some(br#"{"a": [{"access_token": "t0"}]}"#.to_vec()) });
    assert!(carried.missing(&request).is_empty());
    let own = carried.apply(&request);
    assert_eq!(own.target, "/a/a%2Fb?n=a%2Fb");
    assert_eq!((own.headers[0].1.as_str(), own.headers[1].1.as_str()), ("Bearer t0", "s=new; k=1"));
    assert_eq!(own.body, b"csrf=one & two");
    request.headers.clear();
    request.jar = true;
    assert_eq!(carried.apply(&request).headers[0].1, "s=new; t=2");
    carried.learn_names(&Answer { status: 200, headers: vec![header("Set-Cookie", "s=x; Max-Age=0")], body: None });
    assert_eq!(carried.apply(&request).headers[0].1, "t=2");
}
