//! What an import did: totals, each policy, each place that a person should look at. As JSON, Markdown and HTML.

mod render;

use serde::Serialize;

use crate::model::Place;

pub use render::{html, markdown};

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// One to one.
    Exact,
    /// By other statements that mean the same.
    Rewritten,
    /// Nothing stands for it: `Unsupported`.
    Missing,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A piece that this gateway lacks.
    Missing,
    /// Input that cannot be read.
    Damage,
    /// What strangers could misuse.
    Security,
    /// A place where the gateways differ, by its number in the guide.
    Trap(u8),
    /// A property of a step that was translated, which nothing here stands for.
    Aside,
    /// Left out, because it is not needed.
    Dropped,
    /// Said in another way.
    Rewritten,
    /// A name that had to change.
    Name,
    /// The toolkit's release.
    Release,
    /// A policy of the toolkit that was changed though no operator should.
    Changed,
    /// A variable of a customization that only one side knows.
    Variable,
    /// An entity that a person has to look at.
    Entity,
    /// Anything else.
    Note,
}

impl Topic {
    /// A word for it.
    pub fn word(self) -> String {
        match self {
            Topic::Missing => "missing".to_owned(),
            Topic::Damage => "damage".to_owned(),
            Topic::Security => "security".to_owned(),
            Topic::Trap(number) => format!("trap {number}"),
            Topic::Aside => "aside".to_owned(),
            Topic::Dropped => "dropped".to_owned(),
            Topic::Rewritten => "rewritten".to_owned(),
            Topic::Name => "name".to_owned(),
            Topic::Release => "release".to_owned(),
            Topic::Changed => "changed".to_owned(),
            Topic::Variable => "variable".to_owned(),
            Topic::Entity => "entity".to_owned(),
            Topic::Note => "note".to_owned(),
        }
    }
}

impl Serialize for Topic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.word())
    }
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// The policy, as it is called here; empty if it is about none.
    pub policy: String,
    /// Where it was read.
    pub place: Place,
    /// The step's number in its policy; 0 if it is about none.
    pub step: usize,
    /// What to know.
    pub message: String,
}

/// A finding as it is told.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// What it is about.
    pub topic: Topic,
    /// The policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// Where it was read: `file:line`.
    pub from: String,
    /// Where it was written: `file:line`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// What to know.
    pub message: String,
}

/// How well a policy came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// As it was.
    Green,
    /// Look at it.
    Yellow,
    /// It cannot run as it is.
    Red,
}

/// Steps, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// All that the export has.
    pub read: usize,
    /// One to one.
    pub exact: usize,
    /// By rewriting.
    pub rewritten: usize,
    /// `Unsupported`.
    pub missing: usize,
    /// Comments.
    pub comments: usize,
    /// Switched off, kept as comments, with what is in them.
    pub disabled: usize,
    /// In policies that are not imported because this gateway ships them.
    pub shipped: usize,
}

impl Steps {
    /// Steps in = steps out.
    pub fn balance(&self) -> bool {
        self.read == self.exact + self.rewritten + self.missing + self.comments + self.disabled + self.shipped
    }

    /// Adds those of another policy.
    pub fn add(&mut self, other: &Steps) {
        self.read += other.read;
        self.exact += other.exact;
        self.rewritten += other.rewritten;
        self.missing += other.missing;
        self.comments += other.comments;
        self.disabled += other.disabled;
        self.shipped += other.shipped;
    }
}

/// A policy.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    /// Its name there.
    pub name: String,
    /// What it is here: `service "X"`.
    pub becomes: String,
    /// Its GUID, or else its id.
    pub guid: String,
    /// Where it was read.
    pub from: String,
    /// Where it was written: `file:line`; empty if it was not.
    pub to: String,
    /// For a policy of the toolkit: its release, and whether somebody changed it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// How well it came over.
    pub light: Light,
    /// Its steps.
    pub steps: Steps,
    /// By step: its type, where it was read, where it was written, and what became of it.
    pub places: Vec<StepReport>,
}

/// A step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Its number in the policy.
    pub step: usize,
    /// Its type.
    pub kind: String,
    /// Its line in the file that was written.
    pub line: usize,
    /// What became of it.
    pub grade: Grade,
}

/// An entity that is not a policy.
#[derive(Clone, Debug, Serialize)]
pub struct EntityReport {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it was read.
    pub from: String,
    /// What became of it, or what to do.
    pub result: String,
    /// Whether a person has to do something.
    pub by_hand: bool,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Files that were read.
    pub inputs: Vec<String>,
    /// All steps.
    pub steps: Steps,
    /// Policies by light: green, yellow, red.
    pub lights: [usize; 3],
    /// Policies.
    pub policies: Vec<PolicyReport>,
    /// Findings, by topic.
    pub findings: Vec<Told>,
    /// Entities.
    pub entities: Vec<EntityReport>,
    /// Files that were made.
    pub files: Vec<String>,
}
