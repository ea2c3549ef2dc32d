//! References in values: `${env:NAME}` is an environment variable, `${file:PATH}` the text of a file (relative to the home)
//! without trailing line ends. They are resolved after the YAML was parsed, so their contents are always values and never
//! structure. Messages show the reference and never the contents.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::{Config, ConfigError};

/// Largest file that a value is read from.
const MAX_BYTES: u64 = 64 << 10;
const ENV: &str = "${env:";
const FILE: &str = "${file:";

/// A file of settings.
pub(super) struct Layer<'a> {
    /// The file as errors show it.
    pub(super) path: &'a str,
    /// Its text as it was written.
    pub(super) text: &'a str,
    /// What it says with the values in their places, where it names any.
    tree: Option<Value>,
    /// What was written, and what stands for it.
    values: Vec<(String, String)>,
}

impl<'a> Layer<'a> {
    /// Reads the values that it names. `root` is where relative paths begin.
    pub(super) fn read(root: &Path, path: &'a str, text: &'a str) -> Result<Layer<'a>, ConfigError> {
        let mut layer = Layer { path, text, tree: None, values: Vec::new() };
        // `parse` reports a text that is not YAML.
        let Some(mut tree) = serde_yaml::from_str::<Value>(text).ok().filter(|_| text.contains(ENV) || text.contains(FILE))
        else {
            return Ok(layer);
        };
        let mut typed = tree.clone();
        layer.fill(&mut tree, root, false)?;
        layer.fill(&mut typed, root, true)?;
        // `pool_size: ${env:POOL}` means a number, `password: ${env:PASSWORD}` a text even if it has only digits.
        let numbers = serde_yaml::from_value::<Option<Config>>(tree.clone()).is_err()
            && serde_yaml::from_value::<Option<Config>>(typed.clone()).is_ok();
        layer.tree = Some(if numbers { typed } else { tree });
        Ok(layer)
    }

    /// What it says, as this type; an empty file is the type's default.
    pub(super) fn parse<T: Default + DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let Some(tree) = &self.tree else { return self.as_written() };
        match serde_yaml::from_value::<Option<T>>(tree.clone()) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(error) => {
                let error = self.hide(ConfigError::from_yaml(self.path, self.text, &error));
                // The same mistake in the text as it was written has a place.
                match self.as_written::<T>() {
                    Err(written) if written.message == error.message => Err(written),
                    _ => Err(self.placed(error)),
                }
            }
        }
    }

    fn as_written<T: Default + DeserializeOwned>(&self) -> Result<T, ConfigError> {
        match serde_yaml::from_str::<Option<T>>(self.text) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(error) => Err(ConfigError::from_yaml(self.path, self.text, &error)),
        }
    }

    /// An error that shows the reference in place of its value.
    pub(super) fn hide(&self, mut error: ConfigError) -> ConfigError {
        // Values this short are not secrets, and may occur in ordinary words.
        const SHORT: usize = 4;
        for (written, value) in &self.values {
            error.message = error.message.replace(&format!("`{value}`"), &format!("`{written}`"));
            error.message = error.message.replace(&format!("{value:?}"), &format!("{written:?}"));
            if value.len() >= SHORT {
                error.message = error.message.replace(value.as_str(), written);
                error.help = error.help.map(|help| help.replace(value.as_str(), written));
            }
        }
        error
    }

    /// An error at the place of the value that it speaks of.
    fn placed(&self, error: ConfigError) -> ConfigError {
        match self.values.iter().find(|(written, _)| error.message.contains(written.as_str())) {
            Some((written, _)) if error.place.is_none() => self.at(written, error.message),
            _ => error,
        }
    }

    fn at(&self, written: &str, message: String) -> ConfigError {
        ConfigError::at_text(self.path, self.text, written, message)
    }

    /// Puts values in. `typed`: a value that is all of a scalar is what YAML would take it for, a number perhaps.
    fn fill(&mut self, tree: &mut Value, root: &Path, typed: bool) -> Result<(), ConfigError> {
        match tree {
            Value::String(text) => {
                let whole = (text.starts_with(ENV) || text.starts_with(FILE)) && text.find('}') == Some(text.len() - 1);
                let filled = self.filled(text, root)?;
                *tree = match serde_yaml::from_str::<Value>(&filled) {
                    Ok(value @ (Value::Number(_) | Value::Bool(_))) if typed && whole => value,
                    _ => Value::String(filled),
                };
            }
            Value::Sequence(items) => items.iter_mut().try_for_each(|item| self.fill(item, root, typed))?,
            Value::Mapping(entries) => entries.values_mut().try_for_each(|value| self.fill(value, root, typed))?,
            Value::Tagged(tagged) => self.fill(&mut tagged.value, root, typed)?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }

    fn filled(&mut self, text: &str, root: &Path) -> Result<String, ConfigError> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = [ENV, FILE].into_iter().filter_map(|begin| rest.find(begin)).min() {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                // `$${env:…}` is a text that looks like one.
                filled.push_str(before);
                filled.push_str("${");
                rest = from.get(2..).unwrap_or_default();
                continue;
            }
            filled.push_str(before);
            let Some((written, after)) = from.find('}').and_then(|end| from.split_at_checked(end + 1)) else {
                return Err(self.at(from, format!("`{from}` has no closing brace")));
            };
            let value = match written.strip_prefix(ENV).and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => environment(name),
                None => file(root, written.trim_start_matches(FILE).trim_end_matches('}')),
            };
            let value = value.map_err(|why| self.at(written, format!("`{written}`: {why}")))?;
            filled.push_str(&value);
            if !value.is_empty() && !self.values.iter().any(|(own, _)| own == written) {
                self.values.push((written.to_owned(), value));
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

fn environment(name: &str) -> Result<String, String> {
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => Err(format!("there is no variable `{name}` in this process's environment")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("the variable `{name}` is not UTF-8 text")),
    }
}

fn file(root: &Path, path: &str) -> Result<String, String> {
    let path = root.join(path);
    let mut bytes = Vec::new();
    let read = fs::File::open(&path).and_then(|file| {
        // A pipe without a writer would block the start.
        let regular = file.metadata()?.is_file();
        let mut file = file.take(if regular { MAX_BYTES + 1 } else { 0 });
        file.read_to_end(&mut bytes).map(|_| regular)
    });
    match read {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(false) => Err(format!("{} is not a regular file", path.display())),
        Ok(true) if bytes.len() as u64 > MAX_BYTES => Err(format!("{} is longer than {} KiB", path.display(), MAX_BYTES >> 10)),
        Ok(true) => match String::from_utf8(bytes) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(_) => Err(format!("{} is not UTF-8 text", path.display())),
        },
    }
}

/// The files that values in a text stand in.
pub(in crate::services) fn files(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(FILE).filter_map(|(at, begin)| text.get(at + begin.len()..)?.split('}').next())
}
