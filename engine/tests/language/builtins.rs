//! Every built-in variable of the reference page can be read by a policy.

use portcullis::catalogue;

use crate::harness;

/// A name for the `*` of a family, if not every name is possible.
const NAMES: [(&str, &str); 3] =
    [("gateway.time.*", "utc"), ("request.ssl.clientCertificate.*", "subject"), ("secpass.*", "example.plaintext")];

/// Variables that this request leaves undefined or empty.
const ABSENT: [&str; 9] = [
    "request.authenticatedUser",
    "request.authenticatedUser.id",
    "request.authenticatedUser.providerId",
    "request.authenticatedUsers",
    "request.refused.reason",
    "request.refused.status",
    "request.ssl.clientCertificate",
    "request.ssl.clientCertificate.*",
    "service.instanceModifier",
];

#[test]
fn every_built_in_variable_can_be_read() {
    let names: Vec<(&str, String)> = catalogue::builtins().map(|builtin| (builtin.name, readable(builtin.name))).collect();
    let reads: Vec<String> = names.iter().enumerate().map(|(at, (_, name))| format!("\"{at}\": text(${{{name}}})")).collect();
    let policy = format!(
        "service \"All\" at \"/all/*\" {{
            AddHeader(target: \"response\", name: \"X\", value: \"y\")
            AddHeader(target: \"response\", name: \"Set-Cookie\", value: \"x=1\")
            Respond(type: \"application/json\", body: json {{ {} }})
        }}",
        reads.join(", ")
    );
    let site =
        harness::site(&[("policies/all.policy", &policy, portcullis_dsl::Origin::Shipped)]).unwrap_or_else(|why| panic!("{why}"));
    let request = "POST /all/rest?x=1&x=2\nContent-Type: application/json\nx: header\nCookie: x=cookie\n\n{\"x\": \"json\"}";
    let answer = harness::request(&site, request);
    let answer: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
    for (at, (spec, name)) in names.iter().enumerate() {
        let text = answer[at.to_string()].as_str().unwrap_or_default();
        let absent = ABSENT.contains(spec) || is_in_a_body(spec);
        assert_eq!(text.is_empty(), absent, "`{name}` holds `{text}`");
    }
}

fn readable(name: &str) -> String {
    let Some(root) = name.strip_suffix('*') else { return name.to_owned() };
    let rest = NAMES.iter().find(|(family, _)| *family == name).map_or("x", |(_, rest)| rest);
    if name == "gateway.*" { "gateway.cluster.hostname".to_owned() } else { format!("{root}{rest}") }
}

/// The request's body is JSON and not a form, and the response has none yet.
fn is_in_a_body(name: &str) -> bool {
    const PARTS: [&str; 6] =
        ["response", "response.mainpart", "response.contentType", "response.json", "response.json.*", "response.http.status"];
    PARTS.contains(&name) || name.starts_with("request.http.form")
}
