//! A mistake in `gateway.yaml`, reported like policy diagnostics: the place, the line, what to do.

use std::fmt;

use portcullis_dsl::diagnostic::nearest;

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// File as shown to the operator.
    pub path: String,
    /// Line and column, counted from one, if known.
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

    /// A mistake at a key of the entry `name`, or at the entry itself if the key is not written.
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

    /// The YAML reader's error in an operator's words.
    pub(super) fn from_yaml(path: &str, text: &str, error: &serde_yaml::Error) -> Self {
        let full = error.to_string();
        // The reader appends the place; it is shown in front instead.
        let said = full.rsplit_once(" at line ").map_or(full.as_str(), |(said, _)| said);
        let (message, help) = unknown_key(said).unwrap_or_else(|| (said.to_owned(), None));
        let place = error.location().map(|location| (location.line(), location.column()));
        let place = place.map(|place| wrong_line(text, place, said).unwrap_or(place));
        ConfigError { path: path.to_owned(), place, line: String::new(), message, help }.with_line(text)
    }

    fn with_line(mut self, text: &str) -> Self {
        if let Some((line, _)) = self.place {
            self.line = without_passwords(text.lines().nth(line - 1).unwrap_or(""));
        }
        self
    }
}

/// All mistakes of a start's settings, each told on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// Those of one file, in the order of their lines. A mistake that two checks find is one.
    pub(super) fn sorted(mut found: Vec<ConfigError>) -> Self {
        found.sort_by_key(|error| error.place.unwrap_or((usize::MAX, 0)));
        found.dedup();
        ConfigErrors(found)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The text without the part that this line belongs to: a setting of a section, or an entry of a map with all of its settings, so that
/// the rest can be read. `None` where nothing is left to take out.
pub(super) fn without_part(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    // Items of a list may stand as far left as their key.
    let depth = |line: &str| indent(line) + usize::from(line.trim_start().starts_with("- "));
    let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut first = line.checked_sub(1).filter(|at| lines.get(*at).is_some_and(|line| says(line)))?;
    let mut section = first;
    // Up to the section; what is directly below it on the way is the part.
    for at in (0..first).rev() {
        let (Some(above), Some(below)) = (lines.get(at), lines.get(section)) else { return None };
        if says(above) && depth(above) < depth(below) {
            first = section;
            section = at;
        }
        if depth(lines.get(section)?) == 0 {
            break;
        }
    }
    let own = depth(lines.get(first)?);
    let end = lines.iter().enumerate().skip(first + 1).find(|(_, line)| says(line) && depth(line) <= own);
    let end = end.map_or(lines.len(), |(at, _)| at);
    let kept = |at: usize| at < first || at >= end;
    Some(lines.iter().enumerate().map(|(at, line)| if kept(at) { *line } else { "" }).flat_map(|line| [line, "\n"]).collect())
}

/// A line that may be shown and logged: without passwords in addresses and without the value of `password`.
fn without_passwords(line: &str) -> String {
    let mut shown = line.to_owned();
    // Passwords may hold anything, `@`, blanks and quotes too: what stands before the last `@` is the account.
    if let Some(host) = shown.rfind('@') {
        let from = match shown[..host].find("://") {
            Some(scheme) => shown[scheme + 3..host].find(':').map(|at| scheme + 3 + at + 1),
            None => shown[..host].rfind([' ', '\'', '"', '\t']).map(|at| at + 1).or(Some(0)),
        };
        if let Some(from) = from {
            shown.replace_range(from..host, "[secret]");
        }
    }
    let key = shown.match_indices("password").find_map(|(at, word)| {
        let after = shown[at + word.len()..].trim_start_matches(['"', '\'']);
        let value = after.strip_prefix([':', '='])?;
        (!value.trim().is_empty()).then(|| shown.len() - value.len())
    });
    if let Some(value) = key {
        shown.truncate(value);
        shown.push_str(" [secret]");
    }
    shown
}

/// Of a value that does not read as what it should be, the reader knows only where its section begins: the line with that value.
fn wrong_line(text: &str, (line, column): (usize, usize), said: &str) -> Option<(usize, usize)> {
    let value = said.split('`').nth(1).filter(|value| said.contains("` is not ") && !value.is_empty())?;
    let lines = text.lines().enumerate().skip(line.checked_sub(1)?);
    let mut section = lines.take_while(|(_, line)| indent(line) + 1 >= column || line.trim().is_empty());
    let (at, found) = section.find(|(_, line)| line.split_once(':').is_some_and(|(_, rest)| rest.contains(value)))?;
    Some((at + 1, if at + 1 == line { column } else { indent(found) + 1 }))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `listeners: unknown field `htps`, expected `https` or `http`` → the message and the likely fix.
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
