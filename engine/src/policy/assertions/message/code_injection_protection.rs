//! `CodeInjectionProtection`: refuses characters that could become code elsewhere.

use portcullis_dsl::Diagnostic;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};
use regex::Regex;

use crate::policy::assertion::{Assertion, Build, Entry, Runnable};
use crate::policy::ctx::{Ctx, MessageRef};
use crate::data::encoding::percent_decode;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::message::Message;
use crate::data::pattern::compile;

static SPEC: Spec = Spec {
    name: "CodeInjectionProtection",
    category: "message",
    summary: "Succeeds if nothing in a message looks like code of the chosen classes. This is a second line of defence: the \
              first is that templates escape and queries bind.",
    props: &[
        Prop::optional("target", Kind::MessageName, Literal::Text("request"), "The message: `request`, `response` or a variable."),
        Prop::absent(
            "classes",
            Kind::Value,
            "Literal list of classes. Left out: `[\"html\"]`. `html`: tags that carry script or load things. `php`: `' ; \" \
             \\`. `shell`: `` ` ; | & > \\ ``. `ldap-dn`: `\\ , + \" < > ;`. `ldap-search`: `\\ * ( )` and NUL. `xpath`: `\" * \
             ^ ' ; & < > ( )`.",
        ),
        Prop::absent("parts", Kind::Value, "Literal list of places to check. Left out: `[\"query\", \"body\"]`. `path` (of the \
                                            request) is also possible."),
    ],
    sets: &[],
    fails: &["code of a class is found", "a part cannot be decoded: malformed JSON, a `Content-Encoding`, a charset without \
                                          ASCII"],
    examples: &[
        example("harmless", "set m = \"a < b\"\nCodeInjectionProtection(target: \"m\")", Expect::Holds),
        example("a script", "set m = \"<ScRiPt >alert(1)\"\nCodeInjectionProtection(target: \"m\")", Expect::Fails),
        example("a shell's semicolon", "set m = \"a;b\"\nCodeInjectionProtection(target: \"m\", classes: [\"html\", \
            \"shell\"])", Expect::Fails),
    ],
    also: &["Protect Against Code Injection"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let names: Vec<&str> = CLASSES.iter().map(|class| class.0).collect();
        let classes = words(p, "classes", &names, &["html"])?;
        let parts = words(p, "parts", &["path", "query", "body"], &["query", "body"])?;
        let patterns = CLASSES.iter().filter(|class| classes.contains(&class.0)).map(|class| compile(class.1, false));
        Runnable::sync(CodeInjectionProtection {
            target: p.message("target")?,
            classes: patterns.collect::<Result<_, _>>().map_err(|error| p.refuse("classes", &error.to_string()))?,
            path: parts.contains(&"path"),
            query: parts.contains(&"query"),
            body: parts.contains(&"body"),
        })
    },
};

/// Each class and the pattern that recognizes it.
const CLASSES: [(&str, &str); 6] = [
    (
        "html",
        r"(?ix) < \s* (?: applet|body|embed|frame|frameset|html|iframe|ilayer|img|layer|link|meta|object|script|style
                   | svg|math|base|form ) \b",
    ),
    ("php", r#"[';"\\]"#),
    ("shell", r"[`;|&>\\]"),
    ("ldap-dn", r#"[\\,+"<>;]"#),
    ("ldap-search", r"[\\*()\x00]"),
    ("xpath", r#"["*^';&<>()]"#),
];

/// The words of a literal list, each of them in `known`.
fn words<'k>(p: &mut Build<'_>, name: &str, known: &[&'k str], default: &[&'k str]) -> Result<Vec<&'k str>, Diagnostic> {
    let Some(list) = p.json(name)? else { return Ok(default.to_vec()) };
    let refusal = || format!("it must be a list out of `{}`", known.join("`, `"));
    let items = list.as_array().cloned().unwrap_or_else(|| vec![list.clone()]);
    let word = |item: &serde_json::Value| known.iter().copied().find(|word| item.as_str() == Some(*word));
    let found: Option<Vec<&str>> = items.iter().map(word).collect();
    found.filter(|words| !words.is_empty()).ok_or_else(|| p.refuse(name, &refusal()))
}

struct CodeInjectionProtection {
    target: MessageRef,
    classes: Vec<Regex>,
    path: bool,
    query: bool,
    body: bool,
}

impl Assertion for CodeInjectionProtection {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let Some(message) = ctx.message(self.target) else { return falsified("the variable holds no message") };
        if self.target == MessageRef::Request {
            let request = &ctx.request;
            if self.path {
                let Some(path) = percent_decode(&request.path) else { return falsified("the path cannot be decoded") };
                if self.finds(&String::from_utf8_lossy(&path)) {
                    return falsified("code in the path");
                }
            }
            if self.query {
                let query = request.query_parameters();
                if query.is_malformed() {
                    return falsified("the query cannot be decoded");
                }
                if query.pairs().iter().any(|(name, value)| self.finds(name) || self.finds(value)) {
                    return falsified("code in the query");
                }
            }
        }
        if self.body && self.in_body(&message) {
            return falsified("code in the body");
        }
        HELD
    }
}

/// `application/json`, `application/problem+json` and the like.
fn is_json(message: &Message) -> bool {
    let media_type = message.content_type().split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

/// Whether ASCII characters of the body are ASCII bytes, because the patterns look for these.
fn is_of_ascii(message: &Message) -> bool {
    let content_type = message.content_type().to_ascii_lowercase();
    let Some((_, charset)) = content_type.split_once("charset=") else { return true };
    let charset = charset.split(';').next().unwrap_or("").trim().trim_matches('"');
    ["utf-8", "utf8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"].contains(&charset)
}

impl CodeInjectionProtection {
    fn finds(&self, text: &str) -> bool {
        self.classes.iter().any(|class| class.is_match(text))
    }

    /// Forms and JSON are checked value by value, so that their own punctuation is not mistaken for code; everything else is
    /// checked as a whole. What cannot be read here may be readable for the next server, so it counts as code.
    fn in_body(&self, message: &Message) -> bool {
        if message.body.is_empty() {
            return false;
        }
        let encoded = message.headers.get_all(http::header::CONTENT_ENCODING).iter().any(|coding| coding != "identity");
        if encoded || !is_of_ascii(message) {
            return true;
        }
        if message.is_type("application/x-www-form-urlencoded") {
            let form = message.form();
            return form.is_malformed() || form.pairs().iter().any(|(name, value)| self.finds(name) || self.finds(value));
        }
        if is_json(message) {
            return message.json().is_none_or(|json| self.in_json(&json));
        }
        self.finds(&message.body_text())
    }

    fn in_json(&self, json: &serde_json::Value) -> bool {
        match json {
            serde_json::Value::String(text) => self.finds(text),
            serde_json::Value::Array(items) => items.iter().any(|item| self.in_json(item)),
            serde_json::Value::Object(members) => members.iter().any(|(name, item)| self.finds(name) || self.in_json(item)),
            _ => false,
        }
    }
}
