//! A failed condition as text for the log: its source and the values of both sides. Possible secrets are not shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;

use super::compare::Compare;
use super::program::Program;
use crate::data::encoding::byte_of;
use crate::data::value::Value;
use crate::policy::ctx::Ctx;

/// Longest value that is shown, in characters.
const MAX_SHOWN: usize = 60;
/// Longest text of a condition.
const MAX_TEXT: usize = 160;
/// What stands for a value that is not shown.
const STARS: &str = "***";

/// Parts of names of variables and parameters whose values are secrets.
const SECRET: [&str; 19] = [
    "pass",
    "secret",
    "token",
    "code",
    "cookie",
    "authorization",
    "session",
    "jwt",
    "assertion",
    "verifier",
    "challenge",
    "nonce",
    "credential",
    "hash",
    "sso",
    "device",
    "state",
    "hint",
    "key",
];
/// Names that hold such a part and are none.
const HARMLESS: [&str; 9] = [
    "error.code",
    "reasoncode",
    "client_key",
    "http.status",
    "response_type",
    "token_type",
    "code_challenge_method",
    "key_status",
    "token_endpoint",
];

/// The condition at `pc`, which does not hold.
#[cold]
pub(super) fn condition(ctx: &Ctx, program: &Program, pc: u32, compare: &Compare) -> String {
    let source = program.span(pc).and_then(|span| {
        let file = program.sources.get(span.file);
        file.text.get(span.start as usize..span.end as usize)
    });
    let text = source.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let secrets = if is_secret(&without_literals(&text)) { None } else { Some(secrets(ctx)) };
    let side = |value: Value| match (&value, &secrets) {
        (Value::Undefined, _) => "undefined".to_owned(),
        (_, None) => STARS.to_owned(),
        (Value::List(values), Some(secrets)) => {
            let values: Vec<String> = values.iter().take(8).map(|value| shown(&value.as_text(), secrets)).collect();
            format!("[{}]", values.join(", "))
        }
        (value, Some(secrets)) => shown(&value.as_text(), secrets),
    };
    let left = side(compare.left.eval(ctx));
    let right = compare.right().map(|right| format!(", right {}", side(right.eval(ctx)))).unwrap_or_default();
    format!("`{}` does not hold: left {left}{right}", cut(&text, MAX_TEXT))
}

fn shown(text: &str, secrets: &[String]) -> String {
    let part = |secret: &String| text.contains(secret.as_str()) || (text.len() >= 8 && secret.contains(text));
    if secrets.iter().any(part) || is_random(text) { STARS.to_owned() } else { format!("`{}`", cut(text, MAX_SHOWN)) }
}

/// A text, or as many of its characters, and that there are more.
pub(super) fn cut(text: &str, most: usize) -> String {
    let end = byte_of(text, most);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

/// A quoted text is the policy's own.
fn without_literals(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

fn is_secret(names: &str) -> bool {
    let rest = HARMLESS.iter().fold(names.to_owned(), |names, harmless| names.replace(harmless, ""));
    SECRET.iter().any(|part| rest.contains(part))
}

/// Whether a text looks random: one long word of letters and digits.
fn is_random(text: &str) -> bool {
    let has = |test: fn(&u8) -> bool| text.as_bytes().iter().any(test);
    text.len() >= 20
        && !has(u8::is_ascii_whitespace)
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !text.contains("://")
}

/// Secrets that the client sent, under whatever name a policy stored them since.
fn secrets(ctx: &Ctx) -> Vec<String> {
    let (request, message) = (&ctx.request, &ctx.request.message);
    let parameters = request.query_parameters().pairs().iter().chain(message.form().pairs());
    let mut found: Vec<String> =
        parameters.filter(|(name, _)| is_secret(&name.to_ascii_lowercase())).map(|(_, value)| value.to_string()).collect();
    for field in message.headers.get_all(header::COOKIE) {
        let text = String::from_utf8_lossy(field.as_bytes()).into_owned();
        found.extend(text.split(';').filter_map(|pair| Some(pair.split_once('=')?.1.trim().to_owned())));
    }
    for field in message.headers.get_all(header::AUTHORIZATION) {
        let text = String::from_utf8_lossy(field.as_bytes()).into_owned();
        if let Some((_, credentials)) = text.split_once(' ') {
            if let Ok(pair) = STANDARD.decode(credentials.trim()) {
                found.extend(String::from_utf8_lossy(&pair).split_once(':').map(|(_, password)| password.to_owned()));
            }
            found.push(credentials.trim().to_owned());
        }
    }
    found.retain(|secret| secret.len() >= 4);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_looks_tell_what_is_secret() {
        for secret in
            ["${request.http.form.password} == ${x}", "${user_secret} is empty", "${JWT.header.kid}", "${row.access_token}"]
        {
            assert!(is_secret(&without_literals(secret)), "{secret}");
        }
        for harmless in
            ["${kind_of_login} == \"password\"", "${error.code} in [\"201\"]", "${client_key} == ${row.client}", "${scope}"]
        {
            assert!(!is_secret(&without_literals(harmless)), "{harmless}");
        }
        assert!(is_random("54f0c455-4d80-421f-82ca-9194df24859d") && is_random("dBjftJeZ4CVP-mB92K27"));
        assert!(!is_random("https://app.example/cb1234567890") && !is_random("read write delete 1234567890"));
        let secrets = ["hunter2!".to_owned()];
        assert_eq!(shown("hunter2!", &secrets), STARS);
        assert_eq!(shown("x hunter2! y", &secrets), STARS);
        assert_eq!(shown("alice", &secrets), "`alice`");
    }
}
