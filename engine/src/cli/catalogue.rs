//! `portcullis catalogue`: the reference of everything that policies can call and read, made from the descriptions that the checks use.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_dsl::ast::{Syntax, Type};
use portcullis_dsl::spec::{Catalogue, Expect, Kind, Literal, Need, Spec};

use super::{Done, Failure, NO, say};
use crate::policy::site;

/// The reference page in the source tree.
const PAGE: &str = "engine/CATALOGUE.md";
/// The same as data, for editors that complete.
const DATA: &str = "engine/catalogue.json";

/// Options of `catalogue`.
#[derive(Args)]
pub struct CatalogueArgs {
    /// Only this assertion or function.
    name: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// In a source tree: write the page and the data for editors.
    #[arg(long)]
    write: bool,
}

pub fn run(args: &CatalogueArgs) -> Done {
    let catalogue = site::catalogue();
    if args.write {
        if !PathBuf::from("engine").is_dir() {
            return Err(Failure { message: "--write is for the top of a source tree".to_owned(), code: 2 });
        }
        for (path, text) in [(PAGE, page(&catalogue)), (DATA, data(&catalogue))] {
            fs::write(path, text)?;
            say(format!("wrote {path}"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    match &args.name {
        None => say(if args.json { data(&catalogue) } else { page(&catalogue) }.trim_end()),
        Some(name) => {
            let mut out = String::new();
            if let Some(spec) = catalogue.iter().find(|spec| spec.name.eq_ignore_ascii_case(name)) {
                assertion(spec, &mut out);
            } else if let Some(function) = catalogue.function(name) {
                let _ = writeln!(out, "`{}({})`: {}", function.name, function.params.join(", "), function.doc);
            } else {
                let names = catalogue.iter().map(|spec| spec.name).chain(catalogue.functions().map(|function| function.name));
                let near = portcullis_dsl::diagnostic::nearest(name, names);
                let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                eprintln!("there is no assertion or function `{name}`{help}");
                return Ok(NO);
            }
            say(out.trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The page in the source tree, and its text as of now; a test compares the two.
pub fn page(catalogue: &Catalogue) -> String {
    let mut out = String::from(
        "# Catalogue\n\nEverything that policies can call and read. Made by `portcullis catalogue --write` from the descriptions in the code; do \
         not edit.\n",
    );
    let mut categories: Vec<&str> = catalogue.iter().map(|spec| spec.category).collect();
    categories.sort_unstable();
    categories.dedup();
    out.push_str("\n## Assertions\n\n");
    for category in &categories {
        let names = catalogue.iter().filter(|spec| spec.category == *category);
        let links: Vec<String> = names.map(|spec| format!("[{}](#{})", spec.name, spec.name.to_lowercase())).collect();
        let _ = writeln!(out, "- *{category}*: {}", links.join(", "));
    }
    for category in categories {
        for spec in catalogue.iter().filter(|spec| spec.category == category) {
            out.push('\n');
            assertion(spec, &mut out);
        }
    }
    out.push_str("\n## Functions\n\nPure, and they cannot fail.\n\n| function | gives |\n|---|---|\n");
    for function in catalogue.functions() {
        let params: Vec<String> = function
            .params
            .iter()
            .enumerate()
            .map(|(at, param)| if at < function.required { (*param).to_owned() } else { format!("[{param}]") })
            .collect();
        let _ = writeln!(out, "| `{}({})` | {} |", function.name, params.join(", "), cell(function.doc));
    }
    out.push_str("\n## Built-in variables\n\n| name | type | holds |\n|---|---|---|\n");
    for builtin in catalogue.builtins() {
        let writable = if builtin.writable { " May be assigned." } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {}{writable} |", builtin.name, type_word(builtin.ty), cell(builtin.doc));
    }
    out
}

fn assertion(spec: &Spec, out: &mut String) {
    let _ = writeln!(out, "### {}\n\n{}", spec.name, spec.summary);
    if !spec.props.is_empty() {
        out.push_str("\n| property | takes | default | |\n|---|---|---|---|\n");
        for prop in spec.props {
            let default = match prop.need {
                Need::Required => "required".to_owned(),
                Need::Default(Literal::Text("")) => "empty".to_owned(),
                Need::Default(default) => format!("`{default}`"),
                Need::Absent => "none".to_owned(),
            };
            let _ = writeln!(out, "| `{}` | {} | {default} | {} |", prop.name, cell(&kind(prop.kind)), cell(prop.doc));
        }
    }
    if spec.block {
        out.push_str("\nTakes a block: `{ … }`.\n");
    }
    if !spec.sets.is_empty() {
        out.push_str("\nSets:\n\n");
        for set in spec.sets {
            let _ = writeln!(out, "- `{}`: {}", set.name, set.doc);
        }
    }
    if spec.fails.is_empty() {
        out.push_str("\nNever fails.\n");
    } else {
        let _ = writeln!(out, "\nFails when {}.", spec.fails.join("; "));
    }
    if let Some(fine) = spec.optional {
        let _ = writeln!(out, "`{}?(…)` holds also when {fine}.", spec.name);
    }
    for example in spec.examples {
        let expect = match example.expect {
            Expect::Holds => "holds".to_owned(),
            Expect::Fails => "fails".to_owned(),
            Expect::Sets(name, value) => format!("`{name}` is `{value}`"),
        };
        let _ = writeln!(out, "\n{} ({expect}):\n\n```text\n{}\n```", capital(example.title), example.source.trim());
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A bar would end a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Value => "any value".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Int => "a number".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Duration => "a duration".to_owned(),
        Kind::OneOf(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or "),
        Kind::Target(ty) => format!("name of a variable to set ({})", type_word(ty)),
        Kind::Variables => "names of variables".to_owned(),
        Kind::Prefix => "prefix of the variables it sets".to_owned(),
        Kind::MessageName => "name of a message".to_owned(),
        Kind::Template(syntax) => format!("`{}` template", syntax_word(syntax)),
        Kind::Regex => "regular expression".to_owned(),
        Kind::Provider => "an identity provider from gateway.yaml".to_owned(),
        Kind::Key => "alias of a private key".to_owned(),
        Kind::Connection => "a connection from gateway.yaml".to_owned(),
        Kind::Object => "`json { … }`".to_owned(),
    }
}

fn type_word(ty: Type) -> String {
    format!("{ty:?}").to_lowercase()
}

fn syntax_word(syntax: Syntax) -> String {
    format!("{syntax:?}").to_lowercase()
}

/// The catalogue as data.
pub fn data(catalogue: &Catalogue) -> String {
    use serde_json::{Value, json};
    let prop = |prop: &portcullis_dsl::spec::Prop| {
        let words = if let Kind::OneOf(words) = prop.kind { json!(words) } else { Value::Null };
        let default = if let Need::Default(default) = prop.need { json!(default.to_string()) } else { Value::Null };
        json!({
            "name": prop.name, "takes": kind(prop.kind), "words": words, "required": prop.need == Need::Required,
            "default": default, "doc": prop.doc,
        })
    };
    let assertions: Vec<Value> = catalogue
        .iter()
        .map(|spec| {
            json!({
                "name": spec.name, "category": spec.category, "summary": spec.summary, "block": spec.block, "optional": spec.optional,
                "properties": spec.props.iter().map(prop).collect::<Vec<_>>(),
                "sets": spec.sets.iter().map(|set| json!({"name": set.name, "doc": set.doc})).collect::<Vec<_>>(),
                "fails": spec.fails,
            })
        })
        .collect();
    let functions: Vec<Value> = catalogue
        .functions()
        .map(|function| json!({"name": function.name, "parameters": function.params, "required": function.required, "doc": function.doc}))
        .collect();
    let builtins: Vec<Value> = catalogue
        .builtins()
        .map(|builtin| json!({"name": builtin.name, "type": type_word(builtin.ty), "writable": builtin.writable, "doc": builtin.doc}))
        .collect();
    let all = json!({"assertions": assertions, "functions": functions, "builtins": builtins});
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_in_the_tree_is_up_to_date() {
        let catalogue = crate::policy::site::catalogue();
        for (path, now) in [(super::PAGE, super::page(&catalogue)), (super::DATA, super::data(&catalogue))] {
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
            let written = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(written == now, "{path} is out of date: run `cargo run -- catalogue --write`");
        }
    }

    #[test]
    fn tables_have_as_many_cells_as_their_heads() {
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let mut head = 0;
        for line in super::page(&crate::policy::site::catalogue()).lines() {
            if !line.starts_with('|') {
                head = 0;
            } else if head == 0 {
                head = bars(line);
            } else {
                assert_eq!(bars(line), head, "{line}");
            }
        }
    }
}
