//! What a replay found, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::compare::{Difference, Kind};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answers are equal, but for what differs by nature.
    Equal,
    /// They are not.
    Different,
    /// A gateway gave no answer, or there is none to compare with.
    Unanswered,
    /// The request cannot be sent as it was recorded.
    Skipped,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Its name.
    pub name: String,
    /// Where it was recorded.
    pub place: String,
    /// Method and target, as reports show them.
    pub request: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not sent, or not answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The statuses of the two answers.
    pub statuses: [Option<u16>; 2],
    /// Differences.
    pub differences: Vec<Difference>,
}

/// A whole replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replays {
    /// Who gave the first answers: `recorded`, or an address.
    pub left: String,
    /// Who gave the second ones.
    pub right: String,
    /// What is to be known about how it was done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Requests, in their order.
    pub requests: Vec<Replayed>,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Equal => "equal",
            Outcome::Different => "different",
            Outcome::Unanswered => "unanswered",
            Outcome::Skipped => "not sent",
        }
    }
}

impl Replays {
    /// How many requests ended in this way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.requests.iter().filter(|request| request.outcome == outcome).count()
    }

    /// Whether every request was sent, answered, and answered equally.
    pub fn all_equal(&self) -> bool {
        self.requests.iter().all(|request| request.outcome == Outcome::Equal)
    }

    /// The totals in one line.
    pub fn totals(&self) -> String {
        let all = [Outcome::Equal, Outcome::Different, Outcome::Unanswered, Outcome::Skipped];
        let counts: Vec<String> = all.iter().map(|outcome| format!("{} {}", self.count(*outcome), outcome.word())).collect();
        let natural =
            self.requests.iter().flat_map(|request| &request.differences).filter(|one| one.kind == Kind::ByNature).count();
        format!("{} requests: {}; {natural} values differ by nature", self.requests.len(), counts.join(", "))
    }

    /// As text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        let _ = writeln!(out, "left: {}\nright: {}", self.left, self.right);
        for request in &self.requests {
            let _ = writeln!(out, "\n{}: {}", request.outcome.word(), request.request);
            let _ = writeln!(
                out,
                "  {}{}",
                request.place,
                if request.why.is_empty() { String::new() } else { format!(": {}", request.why) }
            );
            for one in &request.differences {
                let _ = match one.kind {
                    Kind::Differs => writeln!(out, "  {}\n    left:  {}\n    right: {}", one.place, one.left, one.right),
                    Kind::ByNature => writeln!(out, "  {}: differs by nature ({}, {})", one.place, one.left, one.right),
                    Kind::NotRecorded => writeln!(out, "  {}: not recorded", one.place),
                };
            }
        }
        let _ = writeln!(out, "\n{}", self.totals());
        // What a server says must not steer a terminal.
        out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::from("# Replay\n\n");
        let _ = writeln!(out, "Left: {}. Right: {}.\n\n{}.\n", cell(&self.left), cell(&self.right), self.totals());
        for note in &self.notes {
            let _ = writeln!(out, "Note: {}.\n", cell(note));
        }
        for outcome in [Outcome::Different, Outcome::Unanswered, Outcome::Skipped, Outcome::Equal] {
            let own: Vec<&Replayed> = self.requests.iter().filter(|request| request.outcome == outcome).collect();
            if own.is_empty() {
                continue;
            }
            let _ = writeln!(out, "## {} ({})\n", capital(outcome.word()), own.len());
            for request in own {
                let _ = writeln!(out, "### {}\n\n{}{}\n", cell(&request.request), cell(&request.place), why(&request.why));
                if request.differences.is_empty() {
                    continue;
                }
                let _ = writeln!(out, "| | left | right | |\n|---|---|---|---|");
                for one in &request.differences {
                    let kind = match one.kind {
                        Kind::Differs => "**differs**",
                        Kind::ByNature => "differs by nature",
                        Kind::NotRecorded => "not recorded",
                    };
                    let _ = writeln!(out, "| {} | {} | {} | {kind} |", cell(&one.place), cell(&one.left), cell(&one.right));
                }
                out.push('\n');
            }
        }
        out
    }
}

fn why(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {}", cell(why)) }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A text of somebody else's, so that it stays a text in a table of Markdown.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '`' | '*' | '[' | ']' | '\\' | '#' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
