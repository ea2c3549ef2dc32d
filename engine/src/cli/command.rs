//! Subcommands that policies declare: `command "client add" (in name, in public: boolean = false, out secret)` is
//! `portcullis client add --name N [--public] [--json]`.
//!
//! A command's words are the subcommand. Its inputs are the flags (required if they have no default; a flag of type `list` may be
//! repeated). Its outputs are printed as `name: value`, `message` without its name. An output called `error` says why the command
//! failed; it goes to standard error, and the exit code is 1. A parameter whose documentation begins with `Former name` is for
//! scripts: help does not show it, and only `--json` prints it.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use portcullis_dsl::Library;
use portcullis_dsl::ast::{Direction, ExprKind, ItemKind, Param, Type};

use super::{Done, Failure, Place, aligned, runtime, say};
use crate::data::value::Value;
use crate::front::home::Home;
use crate::front::host::control::{self, Asked, Ended};
use crate::front::host::{Host, Options};
use crate::policy::site;

/// The commands that a home's policies declare.
pub struct Commands {
    place: Place,
    all: Vec<Declared>,
}

struct Declared {
    name: String,
    words: Vec<String>,
    about: String,
    params: Vec<Param>,
}

impl Commands {
    /// Finds them. `None` if the home or its policies cannot be read; the built-in subcommands then explain that. Where there is
    /// no home, those that ship: help and manual pages tell of them, and running one says that it needs a home.
    pub fn load(place: &Place) -> Option<Commands> {
        let home = place.any_home().unwrap_or_else(|_| Home::at("/nonexistent", place.shipped().as_deref()));
        let sources = home.sources().ok()?;
        let (library, _) = portcullis_dsl::load(sources, &site::catalogue());
        Some(Commands { place: place.clone(), all: declared(&library) })
    }

    /// Adds them to the command line.
    pub fn extend(&self, mut cli: Command) -> Command {
        for command in &self.all {
            cli = insert(cli, &command.words, command);
        }
        cli
    }

    /// Runs the command that was called.
    pub fn run(&self, matches: &ArgMatches) -> Done {
        let (mut words, mut inner) = (Vec::new(), matches);
        while let Some((word, next)) = inner.subcommand() {
            words.push(word.to_owned());
            inner = next;
        }
        let Some(command) = self.all.iter().find(|command| command.words == words) else {
            return Err(Failure { message: format!("`{}` is not a command", words.join(" ")), code: 2 });
        };
        let inputs: Vec<(String, Value)> = inputs(command)
            .filter_map(|param| {
                let name = &param.name.node;
                let value = if is_switch(param) {
                    inner.get_flag(name).then_some(Value::Bool(true))
                } else if is_list(param) {
                    inner.get_many::<String>(name).map(|texts| Value::list(texts.map(|text| Value::from(text.as_str()))))
                } else {
                    inner.get_one::<String>(name).map(|text| Value::from(text.as_str()))
                };
                Some((name.clone(), value?))
            })
            .collect();
        let home = self.place.home()?;
        runtime()?.block_on(async {
            // If a gateway is running, it runs the command itself, so that its caches stay correct.
            let asked = control::ask(&home, &command.name, &inputs).await;
            let ended = match asked.map_err(|error| Failure { message: format!("{}: {error}", command.name), code: 1 })? {
                Asked::Ended(ended) => Some(ended),
                Asked::Unknown => None,
                Asked::Nobody => {
                    let host = Host::open(home, Options::default()).await?;
                    let ended = Ended::run(&host, &command.name, &inputs).await;
                    host.services().connections.close().await;
                    ended
                }
            };
            match ended {
                Some(ended) => report(command, ended, inner.get_flag("json")),
                None => Err(Failure {
                    message: format!(
                        "`{}`: an input has the wrong type, or the policies of the running gateway do not have this command \
                         (see `portcullis status`)",
                        command.name
                    ),
                    code: 2,
                }),
            }
        })
    }
}

fn declared(library: &Library) -> Vec<Declared> {
    let mut all: Vec<Declared> = library
        .commands()
        .map(|policy| {
            let ItemKind::Command(params) = &policy.item.kind else { unreachable!("`commands` gives commands") };
            let docs = policy.item.leading.iter().filter(|comment| comment.doc);
            Declared {
                name: policy.name.clone(),
                words: policy.name.split_whitespace().map(str::to_owned).collect(),
                about: docs.map(|comment| comment.text.trim()).collect::<Vec<_>>().join(" "),
                params: params.clone(),
            }
        })
        .collect();
    all.sort_by(|a, b| a.words.cmp(&b.words));
    all
}

/// Puts a command into the tree of subcommands. Built-in subcommands keep their names.
fn insert(parent: Command, words: &[String], command: &Declared) -> Command {
    let Some((word, rest)) = words.split_first() else { return parent };
    if rest.is_empty() {
        return if parent.find_subcommand(word).is_some() { parent } else { parent.subcommand(leaf(word, command)) };
    }
    if parent.find_subcommand(word).is_some() {
        return parent.mut_subcommand(word, |group| insert(group, rest, command));
    }
    let group =
        Command::new(word.clone()).about(format!("Commands for: {word}")).subcommand_required(true).arg_required_else_help(true);
    parent.subcommand(insert(group, rest, command))
}

fn leaf(word: &str, command: &Declared) -> Command {
    let mut leaf = Command::new(word.to_owned()).about(command.about.clone());
    for param in inputs(command) {
        let name = param.name.node.clone();
        let mut arg = Arg::new(name.clone()).long(name.clone()).help(doc(param)).hide(is_former(param));
        let dashed = name.replace(['_', '.'], "-");
        if dashed != name {
            arg = arg.alias(dashed);
        }
        arg = if is_switch(param) {
            arg.action(ArgAction::SetTrue)
        } else {
            let action = if is_list(param) { ArgAction::Append } else { ArgAction::Set };
            // A value may begin with a dash, because secrets are random.
            arg.action(action)
                .required(param.default.is_none() && !param.optional)
                .value_name(name.to_uppercase())
                .allow_hyphen_values(true)
        };
        leaf = leaf.arg(arg);
    }
    leaf.arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the result as JSON"))
}

fn inputs(command: &Declared) -> impl Iterator<Item = &Param> {
    command.params.iter().filter(|param| param.direction == Direction::In)
}

/// A boolean that is off by default: a flag without a value.
fn is_switch(param: &Param) -> bool {
    let boolean = param.ty.as_ref().is_none_or(|ty| ty.node == Type::Boolean);
    boolean && param.default.as_ref().is_some_and(|default| matches!(*default.kind, ExprKind::Bool(false)))
}

/// An input that may be given several times.
fn is_list(param: &Param) -> bool {
    param.ty.as_ref().is_some_and(|ty| ty.node == Type::List)
}

/// What it is for, on one line.
fn doc(param: &Param) -> String {
    let docs = param.leading.iter().filter(|comment| comment.doc).map(|comment| comment.text.trim());
    docs.collect::<Vec<_>>().join(" ")
}

/// A parameter under its former name: scripts can still use it, help does not show it.
fn is_former(param: &Param) -> bool {
    doc(param).starts_with("Former name")
}

fn report(command: &Declared, ended: Ended, json: bool) -> Done {
    let failure = |reason: &str| Failure { message: format!("{}: {reason}", command.name), code: 1 };
    if let Some(fault) = &ended.fault {
        return Err(failure(fault));
    }
    let error = ended.outputs.iter().find(|(name, _)| name == "error").and_then(|(_, value)| value.as_str());
    match error.filter(|error| !error.is_empty()) {
        Some(error) => return Err(failure(error)),
        None if !ended.held => return Err(failure("refused")),
        None => {}
    }
    let former = |name: &str| command.params.iter().any(|param| is_former(param) && param.name.node == name);
    let shown = ended.outputs.into_iter().filter(|(name, value)| name != "error" && (json || !value.is_null() && !former(name)));
    if json {
        say(serde_json::Value::Object(shown.collect()));
    } else {
        shown.for_each(|(name, value)| print(&name, &value));
    }
    Ok(ExitCode::SUCCESS)
}

/// One output for people: `name: value`, or a table for rows.
fn print(name: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::Array(rows) if !rows.is_empty() && rows.iter().all(serde_json::Value::is_object) => say(table(rows)),
        serde_json::Value::Array(values) if values.is_empty() => say(format!("{name}: none")),
        serde_json::Value::String(text) if name == "message" => say(text),
        serde_json::Value::String(text) => say(format!("{name}: {text}")),
        other => say(format!("{name}: {other}")),
    }
}

fn table(rows: &[serde_json::Value]) -> String {
    let columns: Vec<&String> = rows.first().and_then(|row| row.as_object()).into_iter().flat_map(|row| row.keys()).collect();
    let cell = |row: &serde_json::Value, column: &str| match row.get(column) {
        None | Some(serde_json::Value::Null) => String::new(),
        // A value from a database may contain anything, so a terminal gets one harmless line.
        Some(serde_json::Value::String(text)) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Some(other) => other.to_string(),
    };
    let mut lines = vec![columns.iter().map(|column| (*column).clone()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    aligned(&lines)
}
