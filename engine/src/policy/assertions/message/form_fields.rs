//! `FormFields`: which parameters a request may and must have.

use portcullis_dsl::Diagnostic;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};
use regex::Regex;
use serde::Deserialize;
use smol_str::SmolStr;

use crate::policy::assertion::{Assertion, Build, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::message::Parameters;

static SPEC: Spec = Spec {
    name: "FormFields",
    category: "message",
    summary: "Succeeds if the request's parameters are as declared: how often each occurs, where, and in which form.",
    props: &[
        Prop::required(
            "fields",
            Kind::Value,
            "`json [ { \"name\": \"…\" } ]`, without variables. Further members of a field: `type` (`string`, the default, or \
             `number`), `min` and `max` occurrences (0 and 1), `empty` (whether it may be empty, `true`), `pattern` (regular \
             expression its values match), `location` (`any`, the default, `url` or `body`).",
        ),
        Prop::optional("others", Kind::Bool, Literal::Bool(true), "Whether further parameters are allowed; a literal."),
    ],
    sets: &[],
    fails: &[
        "a parameter is missing, occurs too often or in the wrong place, or does not have the declared form",
        "something cannot be decoded",
    ],
    examples: &[
        example(
            "all optional",
            r#"FormFields(fields: json [{ "name": "scope" }, { "name": "age", "type": "number" }], others: false)"#,
            Expect::Holds,
        ),
        example("one missing", r#"FormFields(fields: json [{ "name": "code", "min": 1, "empty": false }])"#, Expect::Fails),
    ],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::sync(FormFields { fields: fields(p)?, others: p.flag("others")? }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    #[serde(default, rename = "type")]
    kind: FieldKind,
    #[serde(default)]
    min: usize,
    #[serde(default = "one")]
    max: usize,
    #[serde(default = "yes")]
    empty: bool,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(skip)]
    regex: Option<Regex>,
    #[serde(default)]
    location: Location,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum FieldKind {
    #[default]
    String,
    Number,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Location {
    #[default]
    Any,
    Url,
    Body,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn fields(p: &mut Build<'_>) -> Result<Vec<Field>, Diagnostic> {
    let list = p.json("fields")?.unwrap_or_default();
    let mut fields: Vec<Field> = serde_json::from_value(list).map_err(|error| p.refuse("fields", &error.to_string()))?;
    for field in &mut fields {
        if field.min > field.max {
            return Err(p.refuse("fields", &format!("`{}` has a `min` greater than its `max`", field.name)));
        }
        if let Some(pattern) = &field.pattern {
            let regex = crate::policy::pattern::cached(pattern, false);
            let regex = regex.ok_or_else(|| p.refuse("fields", &format!("the pattern of `{}` does not compile", field.name)))?;
            field.regex = Some((*regex).clone());
        }
    }
    Ok(fields)
}

struct FormFields {
    fields: Vec<Field>,
    others: bool,
}

impl Assertion for FormFields {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let (url, body) = (ctx.request.query_parameters(), ctx.request.message.form());
        if url.is_malformed() || body.is_malformed() {
            return falsified("a parameter cannot be decoded");
        }
        for field in &self.fields {
            if let Err(why) = field.check(url, body) {
                return falsified(format!("parameter `{}` {why}", field.name));
            }
        }
        let declared = |name: &SmolStr| self.fields.iter().any(|field| field.name == name.as_str());
        if !self.others && url.pairs().iter().chain(body.pairs()).any(|(name, _)| !declared(name)) {
            return falsified("a parameter is not declared");
        }
        HELD
    }
}

impl Field {
    fn check(&self, url: &Parameters, body: &Parameters) -> Result<(), &'static str> {
        let misplaced = match self.location {
            Location::Any => false,
            Location::Url => body.first(&self.name).is_some(),
            Location::Body => url.first(&self.name).is_some(),
        };
        if misplaced {
            return Err("is in the wrong place");
        }
        let values: Vec<&SmolStr> = url.all(&self.name).chain(body.all(&self.name)).collect();
        if values.len() < self.min {
            return Err("is missing");
        }
        if values.len() > self.max {
            return Err("occurs too often");
        }
        for value in values {
            if value.is_empty() {
                if self.empty {
                    continue;
                }
                return Err("is empty");
            }
            if self.kind == FieldKind::Number && crate::data::value::parse_decimal(value).is_none() {
                return Err("is not a number");
            }
            if self.regex.as_ref().is_some_and(|regex| !regex.is_match(value)) {
                return Err("does not have the declared form");
            }
        }
        Ok(())
    }
}
