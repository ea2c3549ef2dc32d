//! `portcullis list`: what exists, where it is, and whether it is customized.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use portcullis_dsl::ast::{ItemKind, Schedule};
use portcullis_dsl::{Library, Origin, Policy};
use serde_json::{Value, json};

use super::{Done, Failure, Place, aligned, say, show};
use crate::policy::vars;
use crate::services::config::Config;

/// Options of `list`.
#[derive(Args)]
pub struct ListArgs {
    /// A kind (services, tasks, commands, hooks, variables, assertions, fragments), and words that must occur in a row. Words
    /// alone are searched in all kinds.
    #[arg(value_name = "KIND|WORD")]
    words: Vec<String>,
    /// As JSON: one array for each kind.
    #[arg(long)]
    json: bool,
}

/// The kinds of what is listed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Services,
    Around,
    Tasks,
    Commands,
    Hooks,
    Variables,
    Assertions,
    Fragments,
}

impl Kind {
    /// The kinds that are listed by default: what is visible from outside.
    const SHORT: [Kind; 5] = [Kind::Services, Kind::Around, Kind::Tasks, Kind::Commands, Kind::Hooks];

    fn word(self) -> &'static str {
        match self {
            Kind::Services => "services",
            Kind::Around => "around",
            Kind::Tasks => "tasks",
            Kind::Commands => "commands",
            Kind::Hooks => "hooks",
            Kind::Variables => "variables",
            Kind::Assertions => "assertions",
            Kind::Fragments => "fragments",
        }
    }
}

/// One kind: the heads of its columns, and the rows. The last cell describes the row, and is shown in a search.
struct Table {
    kind: Kind,
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

pub fn run(place: &Place, args: &ListArgs) -> Done {
    let config = place.any_home()?.config().unwrap_or_default();
    let library = show::library(place)?;
    let (kind, words) = match args.words.split_first() {
        Some((first, rest)) => match Kind::from_str(first, true) {
            Ok(kind) => (Some(kind), rest),
            Err(_) => (None, &*args.words),
        },
        None => (None, &*args.words),
    };
    let kinds = match kind {
        Some(kind) => vec![kind],
        None if words.is_empty() => Kind::SHORT.to_vec(),
        None => Kind::value_variants().to_vec(),
    };
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let holds = |row: &Vec<String>| {
        let text = row.join("\n").to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let mut tables: Vec<Table> = kinds.into_iter().map(|kind| table(kind, &library, &config)).collect();
    tables.iter_mut().for_each(|table| table.rows.retain(holds));
    tables.retain(|table| !table.rows.is_empty());
    if args.json {
        say(Value::Object(tables.iter().map(|table| (table.kind.word().to_owned(), rows_as_json(table))).collect()));
        return Ok(ExitCode::SUCCESS);
    }
    if tables.is_empty() {
        let what = kind.map_or("nothing", |_| "none of them");
        return Err(Failure {
            message: format!("{what} has `{}` in its name, its place or its description", words.join(" ")),
            code: 1,
        });
    }
    let shown = tables.into_iter().map(|table| {
        let head = table.head.iter().map(|&word| word.to_owned()).collect();
        let width = table.head.len();
        let cells = table.rows.into_iter().map(|row| row.into_iter().take(width).collect());
        aligned(&std::iter::once(head).chain(cells).collect::<Vec<Vec<String>>>())
    });
    say(shown.collect::<Vec<_>>().join("\n\n"));
    if kind.is_none() && words.is_empty() {
        say("\nmore: portcullis list variables, list assertions, list fragments; list WORD looks for a word in everything");
    }
    Ok(ExitCode::SUCCESS)
}

fn rows_as_json(table: &Table) -> Value {
    let row = |row: &Vec<String>| {
        let names = table.head.iter().copied().chain(["description"]);
        Value::Object(names.zip(row).map(|(name, cell)| (name.to_owned(), json!(cell))).collect())
    };
    Value::Array(table.rows.iter().map(row).collect())
}

fn table(kind: Kind, library: &Library, config: &Config) -> Table {
    let (head, mut rows): (&'static [&'static str], Vec<Vec<String>>) = match kind {
        Kind::Services => (
            &["methods", "path", "service", "file"],
            library.services().filter_map(|policy| service(library, policy, config)).collect(),
        ),
        Kind::Around => {
            let row =
                |when: &str, policy: &Policy| vec![when.to_owned(), policy.name.clone(), file(library, policy), policy.doc()];
            let before = library.before().into_iter().map(|policy| row("before services", policy));
            let after = library.after().into_iter().map(|policy| row("after services", policy));
            (&["runs", "policy", "file"], before.chain(after).collect())
        }
        Kind::Tasks => (&["task", "every", "file"], library.tasks().filter_map(|policy| task(library, policy, config)).collect()),
        Kind::Commands => {
            let row = |policy: &Policy| vec![format!("portcullis {}", policy.name), file(library, policy), policy.doc()];
            (&["command", "file"], library.commands().map(row).collect())
        }
        Kind::Hooks => (&["hook", "state", "in", "file"], hooks(library)),
        Kind::Variables => (&["variable", "value", "customized", "hook"], variables(library)),
        Kind::Assertions => {
            let row = |policy: &Policy| vec![policy.name.clone(), state(library, policy), file(library, policy), policy.doc()];
            (&["assertion", "customized", "file"], library.assertions().map(row).collect())
        }
        Kind::Fragments => {
            let fragments = library.policies().iter().filter(|policy| matches!(policy.item.kind, ItemKind::Fragment));
            let row = |policy: &Policy| vec![policy.name.clone(), state(library, policy), file(library, policy), policy.doc()];
            (&["fragment", "customized", "file"], fragments.map(row).collect())
        }
    };
    match kind {
        Kind::Services => rows.sort_by(|a, b| a.get(1).cmp(&b.get(1))),
        Kind::Assertions | Kind::Fragments => rows.sort(),
        Kind::Around | Kind::Tasks | Kind::Commands | Kind::Hooks | Kind::Variables => {}
    }
    Table { kind, head, rows }
}

fn file(library: &Library, policy: &Policy) -> String {
    library.sources().get(policy.file).path.clone()
}

fn service(library: &Library, policy: &Policy, config: &Config) -> Option<Vec<String>> {
    let ItemKind::Service(head) = &policy.item.kind else { return None };
    let methods = head.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" ");
    let methods = if methods.is_empty() { "any".to_owned() } else { methods };
    let served = head.paths.iter().any(|path| config.serves(&policy.name, path, head.disabled));
    let off = if served { "" } else { " (disabled)" };
    Some(vec![methods, head.listed(), format!("{}{off}", policy.name), file(library, policy), policy.doc()])
}

fn task(library: &Library, policy: &Policy, config: &Config) -> Option<Vec<String>> {
    let ItemKind::Task(schedule) = &policy.item.kind else { return None };
    let when = match schedule {
        Schedule::Every(every) => every.node.to_string(),
        Schedule::At(times) => times.node.clone(),
    };
    let off = if config.runs(&policy.name) { "" } else { " (disabled)" };
    Some(vec![format!("{}{off}", policy.name), when, file(library, policy), policy.doc()])
}

/// Whether a policy can be customized, and whether it is; `-` without a hook.
fn state(library: &Library, policy: &Policy) -> String {
    let hooks = library.hooks_of(policy);
    match () {
        () if policy.origin == Origin::Operator => "own",
        () if hooks.is_empty() => "-",
        () if hooks.iter().any(|hook| hook.filled) => "yes",
        () => "no",
    }
    .to_owned()
}

/// One row for each hook and extension.
fn hooks(library: &Library) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for hook in library.hooks() {
        let declaration = hook.declaration();
        if let Some(row) = rows.iter_mut().find(|row| row.first() == Some(&declaration)) {
            // The same extension has a place in several policies.
            if let Some(places) = row.get_mut(2) {
                *places = format!("{places}, {}", hook.policy);
            }
            continue;
        }
        let state = if hook.filled { "customized" } else { "as shipped" };
        let file = if hook.exists { hook.file.clone() } else { format!("{} (to be made)", hook.file) };
        let place = if hook.extension { hook.policy.clone() } else { "itself".to_owned() };
        rows.push(vec![declaration, state.to_owned(), place, file, hook.doc.clone()]);
    }
    rows
}

/// The variables that hooks may set, then those that are built in.
fn variables(library: &Library) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = library
        .settable()
        .into_iter()
        .map(|variable| {
            let customized = match variable.customized {
                Some((value, place)) => format!("{value} ({place})"),
                None => "-".to_owned(),
            };
            vec![variable.name, variable.value, customized, variable.hook, variable.doc]
        })
        .collect();
    let builtin = |builtin: &portcullis_dsl::spec::Builtin| {
        vec![builtin.name.to_owned(), String::new(), "-".to_owned(), "(built in)".to_owned(), builtin.doc.to_owned()]
    };
    rows.extend(vars::builtins().map(builtin));
    rows
}
