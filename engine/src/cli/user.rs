//! `portcullis user`: users of the internal identity provider. A running gateway notices the changes.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::Value as Json;

use super::{Done, Failure, Place, say, table};
use crate::data::principal::Secret;
use crate::data::time::{Clock, iso8601};
use crate::front::home::Home;
use crate::front::host::control;
use crate::services::identity::{Account, InternalUsers, Passwords, USERS_FILE};

/// What to do with users.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user. The password is asked for, or is the first line of standard input.
    Add {
        /// Login name.
        name: String,
        /// Role, e.g. `admin`.
        #[arg(long)]
        role: Option<String>,
        /// E-mail address.
        #[arg(long)]
        email: Option<String>,
        /// A further attribute, e.g. `given_name=Ann`; may be repeated. What reads as JSON is JSON: `email_verified=true`,
        /// `address={"country":"NL"}`.
        #[arg(long = "claim", value_name = "NAME=VALUE")]
        claims: Vec<String>,
    },
    /// Change a user's role, e-mail address and further attributes. An empty value removes one.
    Update {
        /// Login name.
        name: String,
        /// Role, e.g. `admin`.
        #[arg(long)]
        role: Option<String>,
        /// E-mail address.
        #[arg(long)]
        email: Option<String>,
        /// A further attribute, as for `user add`.
        #[arg(long = "claim", value_name = "NAME=VALUE")]
        claims: Vec<String>,
    },
    /// Change a user's password. The new one is asked for, or is the first line of standard input.
    Password {
        /// Login name.
        name: String,
    },
    /// Lock a user out. Logins that a browser remembers end too.
    Disable {
        /// Login name.
        name: String,
    },
    /// Let a user log in again.
    Enable {
        /// Login name.
        name: String,
    },
    /// List users.
    List,
    /// Delete a user.
    Delete {
        /// Login name.
        name: String,
    },
}

pub fn run(place: &Place, command: &UserCommand) -> Done {
    let home = place.home()?;
    let users = InternalUsers::new("internal", home.path(USERS_FILE), Arc::new(Passwords::default()));
    match command {
        UserCommand::Update { name, role, email, claims } => {
            let changed = attributes(role, email, claims)?;
            if changed.is_empty() {
                return Err(Failure { message: "nothing to change: give --role, --email or --claim".to_owned(), code: 2 });
            }
            let names = changed.keys().cloned().collect::<Vec<_>>().join(", ");
            users.set_attributes(name, changed)?;
            recorded(&home, "user_changed", name)?;
            say(format!("changed {name}: {names}"));
        }
        UserCommand::Add { name, role, email, claims } => {
            let mut attributes = attributes(role, email, claims)?;
            attributes.retain(|_, value| !value.is_null());
            users.add(name, &password(name)?, attributes, Clock::default().now_millis())?;
            recorded(&home, "user_added", name)?;
            say(format!("added {name}"));
        }
        UserCommand::Password { name } => {
            users.set_password(name, &password(name)?, Clock::default().now_millis())?;
            recorded(&home, "user_password_changed", name)?;
            say(format!("changed the password of {name}"));
        }
        UserCommand::Disable { name } => {
            users.set_disabled(name, true)?;
            recorded(&home, "user_disabled", name)?;
            say(format!("disabled {name}"));
        }
        UserCommand::Enable { name } => {
            users.set_disabled(name, false)?;
            recorded(&home, "user_enabled", name)?;
            say(format!("enabled {name}"));
        }
        UserCommand::List => {
            let row = |account: Account| {
                let role = account.attributes.get("role").and_then(|role| role.as_str()).unwrap_or("-").to_owned();
                let state = if account.disabled { "disabled" } else { "enabled" }.to_owned();
                vec![account.name, role, state, iso8601(account.created * 1000)]
            };
            say(table(&["name", "role", "state", "since"], users.list()?.into_iter().map(row).collect()));
        }
        UserCommand::Delete { name } => {
            users.delete(name)?;
            recorded(&home, "user_deleted", name)?;
            say(format!("deleted {name}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Longest value of an attribute, in bytes.
const LONGEST: usize = 4096;

/// The attributes that the arguments name; `null` for one that an empty value removes.
fn attributes(role: &Option<String>, email: &Option<String>, claims: &[String]) -> Result<BTreeMap<String, Json>, Failure> {
    let refuse = |message: String| Failure { message, code: 2 };
    let mut all = BTreeMap::new();
    let named = [("role", role), ("email", email)];
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?, false)));
    let mut given: Vec<(String, String, bool)> = named.collect();
    for claim in claims {
        let (name, value) = claim.split_once('=').ok_or_else(|| refuse(format!("--claim {claim}: write NAME=VALUE")))?;
        given.push((name.to_owned(), value.to_owned(), true));
    }
    for (name, value, typed) in given {
        let fits = !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(refuse(format!("`{name}` cannot be the name of an attribute: 1 to 128 letters, digits and signs")));
        }
        if value.len() > LONGEST {
            return Err(refuse(format!("the value of `{name}` is longer than {LONGEST} bytes")));
        }
        // A phone number such as `+31…`, or a text of digits with a leading zero, is no JSON and stays a text.
        let json = serde_json::from_str::<Json>(&value).ok().filter(|_| typed);
        let value = if value.is_empty() { Json::Null } else { json.unwrap_or(Json::String(value)) };
        if all.insert(name.clone(), value).is_some() {
            return Err(refuse(format!("`{name}` is given twice")));
        }
    }
    Ok(all)
}

/// Has a change recorded in the audit log.
fn recorded(home: &Home, event: &str, user: &str) -> Result<(), Failure> {
    let record = super::runtime()?.block_on(control::record(home, event, &[("user", user)]));
    record.map_err(|error| Failure { message: format!("it was done, but the audit log does not say so: {error}"), code: 1 })
}

/// Fewest characters of a password (NIST SP 800-63B, section 5.1.1.2).
const FEWEST: usize = 8;

/// A terminal that does not show what is typed, until dropped. `rpassword` hides it too, but only after the prompt is there, so that whoever
/// is quick would see the beginning.
struct Unseen {
    #[cfg(unix)]
    before: Option<(std::fs::File, rustix::termios::Termios)>,
}

impl Unseen {
    #[cfg(unix)]
    fn from_now_on() -> Unseen {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let hide = || {
            let terminal = std::fs::File::options().read(true).write(true).open("/dev/tty").ok()?;
            let before = tcgetattr(&terminal).ok()?;
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&terminal, OptionalActions::Flush, &hidden).ok()?;
            Some((terminal, before))
        };
        Unseen { before: hide() }
    }

    #[cfg(not(unix))]
    fn from_now_on() -> Unseen {
        Unseen {}
    }
}

#[cfg(unix)]
impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.before {
            let _ = rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Drain, before);
        }
    }
}

/// Asks for it, twice and without showing it, or takes the first line of standard input. Never an argument, because everybody on
/// the machine can see arguments.
fn password(name: &str) -> Result<Secret, Failure> {
    let refuse = |message: String| Err(Failure { message, code: 2 });
    let asked = io::stdin().is_terminal();
    let _unseen = asked.then(Unseen::from_now_on);
    let password = if asked {
        rpassword::prompt_password(format!("password for {name}: "))?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    let password = Secret::new(password);
    let characters = password.expose().chars().count();
    if characters == 0 {
        return refuse("no password: type it when asked, or write it to standard input, followed by a line end".to_owned());
    }
    if characters < FEWEST {
        return refuse(format!(
            "a password has at least {FEWEST} characters, and this one has {characters}; nothing was changed"
        ));
    }
    if asked && Secret::new(rpassword::prompt_password("the same again: ")?).expose() != password.expose() {
        return refuse("these were two different passwords; nothing was changed".to_owned());
    }
    Ok(password)
}
