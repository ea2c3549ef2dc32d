//! Problems in policies, described so that the author can act: what is wrong, where, how the place was reached, and the likely
//! fix.

mod render;

use crate::span::Span;

pub use render::{render, render_one};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policies load.
    Warning,
    /// The policies do not load.
    Error,
}

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// A stable code from [`crate::codes`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop, the author's text in backticks.
    pub message: String,
    /// The text that is underlined.
    pub span: Span,
    /// The likely fix, shown beside the underline.
    pub help: Option<String>,
    /// Further places, each with a note.
    pub related: Vec<(Span, String)>,
    /// How the place was reached: the innermost `include` first.
    pub included_by: Vec<Span>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>, span: Span) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            help: None,
            related: Vec::new(),
            included_by: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>, span: Span) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, span) }
    }

    /// Adds the likely fix.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds "did you mean" when some candidate is near.
    pub fn suggest<'a>(self, wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(wrong, candidates) {
            Some(near) if self.help.is_none() => {
                let help = format!("did you mean `{near}`?");
                self.help(help)
            }
            _ => self,
        }
    }

    /// Adds a further place.
    pub fn related(mut self, span: Span, note: impl Into<String>) -> Self {
        self.related.push((span, note.into()));
        self
    }

    /// Adds the way the place was reached.
    pub fn included_by(mut self, chain: impl IntoIterator<Item = Span>) -> Self {
        self.included_by.extend(chain);
        self
    }
}

/// The candidate nearest to a misspelt word, if one is near enough. Case is ignored.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            // At least one letter must be right: one one-letter name is not a misspelling of another.
            let shorter = candidate.len().min(wrong.len());
            *distance <= 1 + shorter / 4 && *distance < shorter.max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
