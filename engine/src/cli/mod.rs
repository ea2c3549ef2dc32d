//! The command line. Every subcommand takes `--home` and can be used while the gateway runs: they share files and databases,
//! never a process.
//!
//! Policies declare further subcommands (`command "client add" …`), which [`command`] adds to the built-in ones.
//!
//! Exit codes: 0 success; 1 a negative result (errors found, a command refused, a test failed); 2 wrong usage;
//! 3 no gateway is running.

mod account;
mod catalogue;
mod check;
mod command;
mod db;
mod fmt;
mod import;
mod keys;
mod list;
mod pages;
mod replay;
mod schema;
mod serve;
mod show;
mod status;
mod task;
mod test;
mod user;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::front::home::{DATA, Home, HomeError, KEYS};
use crate::services::config::{FILE, ListenAddress};

/// A policy gateway.
#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    about,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Builtin,
}

#[derive(Args, Clone)]
struct Place {
    /// The installation: gateway.yaml, customizations/, services/, keys/, data/. Default: $PORTCULLIS_HOME, then the current
    /// directory.
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Read the shipped policies from a source tree instead of from this program. Default: $PORTCULLIS_SHIPPED.
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    shipped: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Builtin {
    /// Serve requests until told to stop (SIGTERM, Ctrl-C).
    Serve(serve::ServeArgs),
    /// Create a home: settings, customizations to edit, folders. Never overwrites anything.
    Init {
        /// Where.
        dir: PathBuf,
        /// Start with the documented defaults of the product that this one replaces instead of the safer ones: the value of
        /// `compatibility` in the customizations.
        #[arg(long, value_name = "NAME")]
        compatibility: Option<String>,
    },
    /// Check settings and policies as at a start, and report everything that is wrong.
    Check(check::CheckArgs),
    /// Format policy files.
    Fmt(fmt::FmtArgs),
    /// Turn exports of the API gateway whose policies are trees into policies of this one. Changes nothing in the home without `--apply`.
    Import(import::ImportArgs),
    /// Send recorded requests to a gateway, and compare its answers with the recorded ones or with those of another gateway.
    Replay(replay::ReplayArgs),
    /// Run case files: what exists, what is sent, what must come back.
    Test(test::TestArgs),
    /// List services, tasks, commands, hooks, variables and assertions: where each is written, and whether it is customized.
    List(list::ListArgs),
    /// Print a policy, shipped or your own, and its place.
    Show {
        /// Its name, or a file's path.
        name: String,
    },
    /// Show which value of a variable wins and where each is set; or what a policy is for, who uses it, and its steps in order.
    Explain {
        /// Name of a policy or variable.
        name: String,
    },
    /// Print the reference of assertions, functions and built-in variables.
    Catalogue(catalogue::CatalogueArgs),
    /// Print the JSON schema of gateway.yaml, for editors.
    Schema,
    /// Print completions for a shell.
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
    /// Write manual pages.
    Manual {
        /// The folder they are written to.
        dir: PathBuf,
    },
    /// Show how the gateway that runs on this home is doing.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show tasks, or run one now.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Manage users of the internal identity provider.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Manage private keys.
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Look after databases: their versions, what they lack, and copies of embedded ones.
    #[command(subcommand)]
    Db(db::DbCommand),
}

/// Why a subcommand failed: the message to print, and the exit code.
struct Failure {
    message: String,
    code: u8,
}

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure { message: error.to_string(), code: 1 }
    }
}

/// The result of a subcommand.
type Done = Result<ExitCode, Failure>;

/// A negative result that has already been reported.
const NO: ExitCode = ExitCode::FAILURE;

impl Place {
    fn shipped(&self) -> Option<PathBuf> {
        self.shipped.clone().or_else(|| std::env::var_os("PORTCULLIS_SHIPPED").filter(|dir| !dir.is_empty()).map(PathBuf::from))
    }

    fn named(&self) -> Option<PathBuf> {
        self.home.clone().or_else(|| std::env::var_os("PORTCULLIS_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from))
    }

    /// The home, which must exist.
    fn home(&self) -> Result<Home, HomeError> {
        let home = self.any_home()?;
        if home.is_new() {
            return Err(HomeError::None(home.root().to_owned()));
        }
        Ok(home)
    }

    /// If this process runs as root, continues as the account that owns a folder of the home. Without a home nothing happens.
    fn become_owner(&self, folder: &str) -> Result<(), Failure> {
        match self.any_home() {
            Ok(home) => account::become_owner_of(&home.path(folder)),
            Err(_) => Ok(()),
        }
    }

    /// The home, which may not exist yet.
    fn any_home(&self) -> Result<Home, HomeError> {
        Home::find(self.named().as_deref(), self.shipped().as_deref())
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let done = run(args);
    match done {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{}", failure.message.trim_end());
            ExitCode::from(failure.code)
        }
    }
}

fn run(args: Vec<std::ffi::OsString>) -> Done {
    let mut cli = Cli::command();
    // Policies are only read if the subcommand may be one of theirs, because `serve` must not load everything twice.
    let first = first_word(&args);
    let builtin = first.as_deref().is_some_and(|word| cli.find_subcommand(word).is_some());
    let place_of_matches = place_of(&args);
    let commands = if builtin { None } else { command::Commands::load(&place_of_matches) };
    if let Some(commands) = &commands {
        cli = commands.extend(cli);
    }
    let matches = match cli.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return Ok(ExitCode::from(if error.use_stderr() { 2 } else { 0 }));
        }
    };
    if let (Some(commands), Some((word, _))) = (commands, matches.subcommand())
        && Cli::command().find_subcommand(word).is_none()
    {
        place_of_matches.become_owner(DATA)?;
        return commands.run(&matches);
    }
    let cli = Cli::from_arg_matches(&matches)?;
    let place = &cli.place;
    match &cli.command {
        Builtin::Key(_) => place.become_owner(KEYS)?,
        // The other commands write nothing to the home, or keep the owner of what they write.
        Builtin::Serve(_)
        | Builtin::Check(_)
        | Builtin::Test(_)
        | Builtin::Status { .. }
        | Builtin::Task(_)
        | Builtin::User(_)
        | Builtin::Db(_) => place.become_owner(DATA)?,
        _ => {}
    }
    match cli.command {
        Builtin::Serve(args) => serve::run(place, &args),
        Builtin::Init { dir, compatibility } => init(&dir, compatibility.as_deref(), place),
        Builtin::Check(args) => check::run(place, &args),
        Builtin::Fmt(args) => fmt::run(place, &args),
        Builtin::Import(args) => import::run(place, &args),
        Builtin::Replay(args) => replay::run(&args),
        Builtin::Test(args) => test::run(place, &args),
        Builtin::List(args) => list::run(place, &args),
        Builtin::Show { name } => show::show(place, &name),
        Builtin::Explain { name } => show::explain(place, &name),
        Builtin::Catalogue(args) => catalogue::run(&args),
        Builtin::Schema => schema::run(),
        Builtin::Completions { shell } => pages::completions(full(place), shell),
        Builtin::Manual { dir } => pages::manual(full(place), &dir),
        Builtin::Status { json } => status::run(place, json),
        Builtin::Task(command) => task::run(place, &command),
        Builtin::User(command) => user::run(place, &command),
        Builtin::Key(command) => keys::run(place, &command),
        Builtin::Db(command) => db::run(place, &command),
    }
}

/// The whole command line, with the commands that policies declare.
fn full(place: &Place) -> clap::Command {
    let cli = Cli::command();
    match command::Commands::load(place) {
        Some(commands) => commands.extend(cli),
        None => cli,
    }
}

/// The first argument that is neither a flag nor the value of one.
fn first_word(args: &[std::ffi::OsString]) -> Option<String> {
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        match arg.to_str() {
            Some("--home" | "--shipped") => {
                rest.next();
            }
            Some(flag) if flag.starts_with('-') => {}
            other => return other.map(str::to_owned),
        }
    }
    None
}

/// `--home` and `--shipped`, anywhere on the command line.
fn place_of(args: &[std::ffi::OsString]) -> Place {
    let value = |name: &str| {
        args.iter().enumerate().find_map(|(at, arg)| match arg.to_str()?.strip_prefix(name)? {
            "" => args.get(at + 1).map(PathBuf::from),
            rest => rest.strip_prefix('=').map(PathBuf::from),
        })
    };
    Place { home: value("--home"), shipped: value("--shipped") }
}

fn init(dir: &Path, compatibility: Option<&str>, place: &Place) -> Done {
    let home = Home::at(dir, place.shipped().as_deref());
    let mut made = Vec::new();
    if let Some(value) = compatibility {
        made.push(home.init_setting("compatibility", value)?);
    }
    made.extend(home.init()?);
    if made.is_empty() {
        say(format!("{} is already a home; nothing was changed", dir.display()));
        return Ok(ExitCode::SUCCESS);
    }
    say(format!("made in {}:", dir.display()));
    made.iter().for_each(|path| say(format!("  {path}")));
    let listeners = home.config()?.listeners;
    let listens: Vec<String> = [("https", listeners.https), ("http", listeners.http)]
        .into_iter()
        .filter_map(|(scheme, address)| match address {
            ListenAddress::At(address) => Some(format!("{scheme}://{address}")),
            ListenAddress::Off => None,
        })
        .collect();
    say(format!("it will listen on {}: `listeners` in {} says where", listens.join(" and "), home.path(FILE).display()));
    say(format!("next: portcullis serve --home {}", dir.display()));
    Ok(ExitCode::SUCCESS)
}

/// Prints a line. A reader that has gone away (`portcullis show X | head`) is not an error.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Lines of cells as a table, each column as wide as its widest cell.
fn aligned(lines: &[Vec<String>]) -> String {
    let mut widths = vec![0; lines.first().map_or(0, Vec::len)];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Rows below the names of their columns, or `none`.
fn table(head: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return "none".to_owned();
    }
    rows.insert(0, head.iter().map(|&word| word.to_owned()).collect());
    aligned(&rows)
}

/// Whether diagnostics may be coloured (https://no-color.org).
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A runtime for subcommands that talk to databases.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests;
