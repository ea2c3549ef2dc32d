//! What an export holds, whatever format it came in: policies as trees of steps, and the entities beside them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

/// A place in what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, counted from one; 0 where it is not known.
    pub line: usize,
}

impl Place {
    /// A line of a file.
    pub fn new(file: &Arc<str>, line: usize) -> Place {
        Place { file: Arc::clone(file), line }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A property's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Prop {
    /// It is there, and has no value.
    Null,
    /// Text; numbers and booleans too.
    Text(String),
    /// Several values.
    List(Vec<Prop>),
    /// Named values.
    Map(Props),
}

/// Properties by name, in the order of the export.
pub type Props = IndexMap<String, Prop>;

impl Prop {
    /// Its text.
    pub fn text(&self) -> Option<&str> {
        if let Prop::Text(text) = self { Some(text) } else { None }
    }

    /// Its members.
    pub fn map(&self) -> Option<&Props> {
        if let Prop::Map(map) = self { Some(map) } else { None }
    }

    /// Its values: one, several or none.
    pub fn list(&self) -> &[Prop] {
        match self {
            Prop::List(list) => list,
            Prop::Null => &[],
            Prop::Text(_) | Prop::Map(_) => std::slice::from_ref(self),
        }
    }

    /// A member of a map.
    pub fn get(&self, name: &str) -> Option<&Prop> {
        self.map().and_then(|map| map.get(name))
    }

    /// The text of a member.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Prop::text)
    }
}

/// The names of properties that somebody has asked a step for. They are no part of what the step is.
#[derive(Clone, Debug, Default)]
pub struct Asked(RefCell<BTreeSet<String>>);

impl PartialEq for Asked {
    fn eq(&self, _: &Asked) -> bool {
        true
    }
}

impl Asked {
    fn note(&self, name: &str) {
        // Nobody else borrows it meanwhile.
        if let Ok(mut asked) = self.0.try_borrow_mut()
            && !asked.contains(name)
        {
            asked.insert(name.to_owned());
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.borrow().contains(name)
    }

    /// All of them.
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().iter().cloned().collect()
    }
}

/// One step of a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Its type: the element's name without `Assertion` at its end.
    pub kind: String,
    /// Its properties under one spelling, with defaults for those that the export leaves out.
    pub props: Props,
    /// The names of properties that the export gives.
    pub given: Vec<String>,
    /// Those that its translation has asked for.
    pub asked: Asked,
    /// Steps inside.
    pub children: Vec<Step>,
    /// Whether it counts: a disabled step is kept as a comment.
    pub disabled: bool,
    /// The comment before it.
    pub left: Option<String>,
    /// The comment behind it.
    pub right: Option<String>,
    /// Its line in the policy.
    pub line: usize,
    /// Its number in the policy, counted from one, in the order of the text.
    pub number: usize,
}

impl Step {
    /// A property.
    pub fn prop(&self, name: &str) -> Option<&Prop> {
        self.asked.note(name);
        self.props.get(name)
    }

    /// The text of a property; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.prop(name).and_then(Prop::text).unwrap_or("")
    }

    /// The text of a property that is not empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A property that is `true`.
    pub fn is(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    /// Whether the export itself gives a property.
    pub fn gives(&self, name: &str) -> bool {
        self.asked.note(name);
        self.given.iter().any(|given| given == name)
    }

    /// The properties that the export gives and nobody has asked for.
    pub fn left_aside(&self) -> impl Iterator<Item = (&str, &Prop)> {
        let given = self.given.iter().filter(|name| !self.asked.has(name));
        given.filter_map(|name| Some((name.as_str(), self.props.get(name)?)))
    }

    /// All steps: this one first, then those inside, in the order of the text.
    pub fn walk<'s>(&'s self, each: &mut dyn FnMut(&'s Step)) {
        each(self);
        self.children.iter().for_each(|child| child.walk(each));
    }

    /// How many steps it is, itself included.
    pub fn count(&self) -> usize {
        1 + self.children.iter().map(Step::count).sum::<usize>()
    }
}

/// What a policy is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// It answers requests.
    Service(Service),
    /// Other policies include it; also the body of encapsulated assertions and tasks.
    Fragment,
    /// The gateway runs it at a moment of its own: before each service, for its audit, as an identity provider. The text says which.
    Special(String),
}

/// What a service says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// The path it answers; empty if it is found in other ways.
    pub path: String,
    /// Methods; empty = any.
    pub methods: Vec<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// It speaks SOAP.
    pub soap: bool,
}

impl Service {
    /// Its paths as they are written here; none if its pattern cannot be one. A pattern that ends in `*` within a segment becomes
    /// the segment and what is below it: paths here match whole segments.
    pub fn paths(&self) -> Vec<String> {
        let whole = self.path.strip_suffix('*').unwrap_or(&self.path);
        match (self.path.starts_with('/') && !whole.contains('*'), whole.ends_with('/') || whole == self.path) {
            (false, _) => Vec::new(),
            (true, true) => vec![self.path.clone()],
            (true, false) => vec![whole.to_owned(), format!("{whole}/*")],
        }
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What other policies call it by.
    pub guid: String,
    /// What mappings and tasks call it by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Folders, the outermost first.
    pub folder: Vec<String>,
    /// The folder's id, until folders are known.
    pub folder_id: String,
    /// What it is for.
    pub role: Role,
    /// Its steps, or why they cannot be read.
    pub body: Result<Step, Damage>,
    /// Where it was read.
    pub place: Place,
    /// Its version, where the export says so.
    pub version: String,
    /// What it is for, in its author's words.
    pub doc: String,
}

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub place: Place,
    /// Why.
    pub why: String,
}

/// An input or result of an encapsulated assertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its type, as the export spells it.
    pub ty: String,
    /// Whether the caller gives it in the call. Otherwise it is the caller's variable of this name.
    pub prompt: bool,
    /// What it is for.
    pub label: String,
}

/// An encapsulated assertion.
#[derive(Clone, Debug, PartialEq)]
pub struct Encass {
    /// What calls name.
    pub guid: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its policy: id, GUID, name or path.
    pub policy: String,
    /// Inputs, in order.
    pub inputs: Vec<Argument>,
    /// Results.
    pub outputs: Vec<Argument>,
    /// What it is for.
    pub doc: String,
    /// Where it was read.
    pub place: Place,
}

/// A setting of the whole gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Nobody should see it.
    pub hidden: bool,
    /// Where it was read.
    pub place: Place,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// What queries name.
    pub name: String,
    /// `jdbc:…`
    pub url: String,
    /// The user.
    pub user: String,
    /// The password is given in clear.
    pub password: Option<String>,
    /// Most connections at once.
    pub pool: Option<String>,
    /// Where it was read.
    pub place: Place,
}

/// An identity provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provider {
    /// What steps name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `LDAP`, `Federated`, `Internal`, …
    pub kind: String,
    /// Servers.
    pub urls: Vec<String>,
    /// Where the search begins.
    pub base: String,
    /// Who searches.
    pub bind_dn: String,
    /// Where it was read.
    pub place: Place,
}

/// A certificate that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What calls name, beside its name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Base64 of its DER, or PEM.
    pub encoded: String,
    /// Where it was read.
    pub place: Place,
}

/// A policy that runs by the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Its policy: id, GUID, name or path.
    pub policy: String,
    /// When, as six fields of cron.
    pub cron: String,
    /// It runs once, and not again.
    pub once: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Where it was read.
    pub place: Place,
}

/// What is only listed for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its kind, as the export spells it.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it was read.
    pub place: Place,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Services and fragments.
    pub policies: Vec<Policy>,
    /// Encapsulated assertions.
    pub encasses: Vec<Encass>,
    /// Settings.
    pub properties: Vec<Property>,
    /// Databases.
    pub databases: Vec<Database>,
    /// Identity providers.
    pub providers: Vec<Provider>,
    /// Certificates.
    pub certificates: Vec<Certificate>,
    /// Tasks.
    pub tasks: Vec<Task>,
    /// Folders: id, name, parent's id.
    pub folders: Vec<(String, String, String)>,
    /// What a person has to look at.
    pub others: Vec<Other>,
    /// What cannot be read.
    pub damage: Vec<Damage>,
    /// New names that mappings give: what it is of (type and id), and the name.
    pub renamed: Vec<(String, String, String)>,
    /// What mappings leave out: type and id.
    pub ignored: Vec<(String, String)>,
}
