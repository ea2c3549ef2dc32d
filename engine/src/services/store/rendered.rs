//! The text of a statement for one dialect, and what is bound at its placeholders.

use std::fmt::Write;
use std::sync::Arc;

use super::StatementError;
use super::backend::Placeholders;
use crate::data::value::Value;

/// What is bound at a placeholder. One parameter may be bound several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The value.
    Value,
    /// The value, compared by order or by pattern.
    Order,
    /// The value for finding rows by equality. A value that the other side cannot contain is bound as NULL and finds nothing.
    Probe,
    /// The bytes of its text, which decide whether a found row is the right one.
    Bytes,
    /// Whether it may be compared as a number.
    Number,
}

/// A placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bind {
    /// Which parameter, from 0.
    pub(super) param: usize,
    pub(super) role: Role,
}

/// A statement's text. If numbered placeholders can be reused, parameters are bound once; otherwise `binds` says what is bound
/// where.
#[derive(Clone, Debug)]
pub(super) struct Rendered {
    pub(super) sql: Arc<str>,
    pub(super) binds: Vec<Bind>,
}

/// Marks what is not SQL; no statement may contain it.
pub(super) const MARK: char = '\u{1}';

/// A placeholder in a text that is not rendered yet.
pub(super) fn mark(role: Role, param: usize) -> String {
    let letter = match role {
        Role::Value => 'v',
        Role::Order => 'o',
        Role::Probe => 'p',
        Role::Bytes => 'b',
        Role::Number => 'n',
    };
    format!("{MARK}{letter}{param}{MARK}")
}

/// The parameter of a mark, whatever its role.
pub(super) fn number(mark: &str) -> Option<usize> {
    read(mark.strip_prefix(MARK)?.strip_suffix(MARK)?).map(|bind| bind.param)
}

fn read(mark: &str) -> Option<Bind> {
    let role = match mark.chars().next()? {
        'v' => Role::Value,
        'o' => Role::Order,
        'p' => Role::Probe,
        'b' => Role::Bytes,
        'n' => Role::Number,
        _ => return None,
    };
    Some(Bind { param: mark[1..].parse().ok()?, role })
}

impl Rendered {
    /// The text as it was written.
    pub(super) fn plain(placeholders: Placeholders, pieces: &[&str]) -> Rendered {
        let mut sql = String::new();
        for (i, piece) in pieces.iter().enumerate() {
            let _ = match (i, placeholders) {
                (0, _) => Ok(()),
                (_, Placeholders::Numbered) => write!(sql, "?{i}"),
                (_, Placeholders::InOrder) => sql.write_char('?'),
                (_, Placeholders::Typed) => write!(sql, "${i}"),
            };
            sql.push_str(piece);
        }
        let binds = (1..pieces.len()).map(|i| Bind { param: i - 1, role: Role::Value }).collect();
        Rendered { sql: sql.into(), binds }
    }

    /// A text with marks.
    pub(super) fn marked(placeholders: Placeholders, text: &str, params: usize) -> Result<Rendered, StatementError> {
        let mut sql = String::new();
        // Numbers with types: the parameters, then their bytes.
        let mut binds: Vec<Bind> = match placeholders {
            Placeholders::Typed => (0..params).map(|param| Bind { param, role: Role::Value }).collect(),
            Placeholders::Numbered | Placeholders::InOrder => Vec::new(),
        };
        for (i, part) in text.split(MARK).enumerate() {
            if i % 2 == 0 {
                sql.push_str(part);
                continue;
            }
            let bind = read(part).filter(|bind| bind.param < params).ok_or(StatementError::UnknownMark)?;
            let _ = match placeholders {
                Placeholders::Numbered => {
                    binds.push(bind);
                    write!(sql, "?{}", bind.param + 1)
                }
                Placeholders::InOrder => {
                    binds.push(bind);
                    sql.write_char('?')
                }
                Placeholders::Typed if bind.role == Role::Bytes => {
                    let known = binds.iter().position(|other| *other == bind);
                    let at = known.unwrap_or_else(|| {
                        binds.push(bind);
                        binds.len() - 1
                    });
                    write!(sql, "${}::bytea", at + 1)
                }
                Placeholders::Typed => {
                    let own = binds.get_mut(bind.param).ok_or(StatementError::UnknownMark)?;
                    if bind.role != Role::Value {
                        own.role = bind.role;
                    }
                    write!(sql, "${}", bind.param + 1)
                }
            };
        }
        Ok(Rendered { sql: sql.into(), binds })
    }

    /// Whether each of the parameters occurs.
    pub(super) fn takes_all(&self, params: usize) -> bool {
        (0..params).all(|param| self.binds.iter().any(|bind| bind.param == param))
    }
}

/// Whether a value compares as a number: it is one, or the text of a whole number in its usual form (`1`, not `01`, `1.0` or `1e0`).
pub(super) fn is_number(value: &Value) -> bool {
    match value {
        Value::Int(_) | Value::Decimal(_) | Value::Bool(_) | Value::Time(_) => true,
        other => {
            let text = other.as_text();
            text.parse::<i64>().is_ok_and(|number| number.to_string() == *text)
        }
    }
}

/// The text for comparing a value, as columns store it: the seconds of a moment, 1 or 0 for a boolean.
pub(super) fn compared(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::Bool(value) => if *value { "1" } else { "0" }.into(),
        Value::Time(millis) => millis.div_euclid(1000).to_string().into(),
        other => other.as_text(),
    }
}
