//! A mistake in `gateway.yaml`, told the way policy diagnostics are: the place, the line, what to do.

use std::fmt;

use portcullis_dsl::diagnostic::nearest;

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// File as shown to the operator.
    pub path: String,
    /// Line and column, counted from one, where known.
    pub place: Option<(usize, usize)>,
    /// The text of that line.
    pub line: String,
    /// What is wrong.
    pub message: String,
    /// The likely fix.
    pub help: Option<String>,
}

impl ConfigError {
    /// A mistake without a place.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        ConfigError { path: path.to_owned(), place: None, line: String::new(), message: message.into(), help: None }
    }

    /// A mistake at the first line that begins with this key.
    pub fn at_key(path: &str, text: &str, key: &str, message: String) -> Self {
        let place = text.lines().enumerate().find_map(|(index, line)| {
            let bare = line.trim_start().trim_start_matches(['"', '\'']);
            bare.starts_with(key).then(|| (index + 1, line.len() - line.trim_start().len() + 1))
        });
        ConfigError { place, ..ConfigError::new(path, message) }.with_line(text)
    }

    /// A mistake where this text stands.
    pub(super) fn at_text(path: &str, text: &str, what: &str, message: String) -> Self {
        let place = text.lines().enumerate().find_map(|(index, line)| Some((index + 1, line.find(what)? + 1)));
        ConfigError { place, ..ConfigError::new(path, message) }.with_line(text)
    }

    /// A mistake at a key of the entry `name`, or at the entry itself where the key is not written.
    pub fn at_key_of(path: &str, text: &str, name: &str, key: &str, message: String) -> Self {
        let entry = ConfigError::at_key(path, text, name, message);
        let Some((first, column)) = entry.place else { return entry };
        let place = text.lines().enumerate().skip(first).take_while(|(_, line)| indent(line) >= column || line.trim().is_empty());
        let mut place = place.filter(|(_, line)| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
        match place.next() {
            Some((index, line)) => ConfigError { place: Some((index + 1, indent(line) + 1)), ..entry }.with_line(text),
            None => entry,
        }
    }

    /// What the YAML reader says, in words for an operator.
    pub(super) fn from_yaml(path: &str, text: &str, error: &serde_yaml::Error) -> Self {
        let full = error.to_string();
        // The reader appends the place in words; we show it in front.
        let said = full.rsplit_once(" at line ").map_or(full.as_str(), |(said, _)| said);
        let (message, help) = unknown_key(said).unwrap_or_else(|| (said.to_owned(), None));
        let place = error.location().map(|location| (location.line(), location.column()));
        ConfigError { path: path.to_owned(), place, line: String::new(), message, help }.with_line(text)
    }

    fn with_line(mut self, text: &str) -> Self {
        if let Some((line, _)) = self.place {
            self.line = without_passwords(text.lines().nth(line - 1).unwrap_or(""));
        }
        self
    }
}

/// A line as it may be shown and logged: without the passwords of addresses, and without a `password`.
fn without_passwords(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://").map(|at| at + 3) {
        let end = rest[at..].find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).map_or(rest.len(), |len| at + len);
        let secret = rest[at..end].rfind('@').and_then(|host| Some((at + rest[at..at + host].find(':')? + 1, at + host)));
        match secret {
            Some((from, to)) => shown.extend([&rest[..from], "[secret]", &rest[to..end]]),
            None => shown.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    shown.push_str(rest);
    let key = shown.match_indices("password").find_map(|(at, word)| {
        let after = shown[at + word.len()..].trim_start_matches(['"', '\'']);
        let value = after.strip_prefix(':')?;
        (!value.trim().is_empty()).then(|| shown.len() - value.len())
    });
    if let Some(value) = key {
        shown.truncate(value);
        shown.push_str(" [secret]");
    }
    shown
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `listeners: unknown field `htps`, expected `https` or `http`` → what to say and what was probably meant.
fn unknown_key(said: &str) -> Option<(String, Option<String>)> {
    let (section, rest) = said.split_once("unknown field `")?;
    let (wrong, rest) = rest.split_once('`')?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let section = section.trim_end_matches([':', ' ']);
    let place = if section.is_empty() { String::new() } else { format!(" in `{section}`") };
    let help = match nearest(wrong, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Some((format!("unknown key `{wrong}`{place}"), Some(help)))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((line, column)) = self.place else {
            return match &self.help {
                Some(help) => write!(f, "{}: {}; {help}", self.path, self.message),
                None => write!(f, "{}: {}", self.path, self.message),
            };
        };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{margin}--> {}:{line}:{column}", self.path)?;
        writeln!(f, "{number} | {}", self.line)?;
        write!(f, "{margin} | {}^", " ".repeat(column.saturating_sub(1)))?;
        if let Some(help) = &self.help {
            write!(f, " {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
