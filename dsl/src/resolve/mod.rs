//! From parsed files to a checked set of policies: what includes, calls and customizes what, which variables share a frame, and
//! everything that is wrong, reported at once.
//!
//! Entry point is [`load`]. It declares (`index`), reads data files (`data`), lists what each declaration does with names
//! (`summary`), builds the frames (`build`), and then runs the checks over these results.

mod build;
mod check;
mod connection;
mod data;
mod explain;
mod failures;
mod frame;
mod hooks;
mod index;
mod names;
pub mod picture;
mod steps;
mod summary;
pub mod visit;

use std::sync::Arc;

use hashbrown::HashSet;

pub use check::{AddressPlace, address_places};
pub use explain::{Explanation, PolicyNotes, Setting, VariableNotes};
pub use frame::{Access, Frame};
pub use hooks::{Edit, Hook, Settable};
pub use index::{Policy, PolicyId};
pub use steps::Step;

use crate::ast;
use crate::diagnostic::{Diagnostic, Severity};
use crate::parse::parse;
use crate::shared::{parts, shared};
use crate::span::{FileId, Origin, Sources};
use crate::spec::Catalogue;
use build::{Builder, Space};
use data::DataFiles;
use index::{Index, Kind};
use names::Names;
use summary::{Event, Gather};

/// A resolved set of policies. Clones share everything.
#[derive(Clone, Debug)]
pub struct Library {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sources: Arc<Sources>,
    policies: Vec<Policy>,
    index: Index,
    data: DataFiles,
    names: Arc<Names>,
    events: Vec<Vec<Event>>,
    spaces: Vec<Option<Space>>,
}

/// Parses and resolves all files. If there is an error among the diagnostics, the library may be inspected but not run.
pub fn load(mut sources: Sources, catalogue: &Catalogue) -> (Library, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut policies = Vec::new();
    let mut broken = HashSet::new();
    let mut derived = Vec::new();
    let parsed = |at: usize| sources.files.get(at).map(|source| parse(FileId(at as u32), &source.text)).unwrap_or_default();
    for (at, (tree, found)) in shared(sources.files.len(), sources.files.len(), parsed).into_iter().enumerate() {
        let file = FileId(at as u32);
        let source = sources.get(file);
        if found.iter().any(|found| found.severity == Severity::Error) {
            broken.insert(file);
        }
        diagnostics.extend(found);
        let connection = tree.connection.map(|connection| {
            if let Some(from) = connection.from {
                derived.push((file, connection.value.clone(), from));
            }
            Arc::new(connection.value)
        });
        policies.extend(tree.items.into_iter().map(|item| (file, source.origin, connection.clone(), item)));
    }
    let mut policies: Vec<_> = policies
        .into_iter()
        .enumerate()
        .map(|(at, (file, origin, connection, item))| Policy {
            name: item.name.node.clone(),
            has_body: !item.body.stmts.is_empty(),
            id: PolicyId(at as u32),
            item: Arc::new(item),
            file,
            origin,
            connection,
        })
        .collect();
    let mut index = Index::default();
    // A shipped policy keeps its name, whatever an operator declares.
    let (shipped, own): (Vec<_>, Vec<_>) = policies.iter().partition(|policy| policy.origin == Origin::Shipped);
    shipped.into_iter().chain(own).for_each(|policy| index.add(policy));
    connection::settle(&mut policies, &index, derived, &mut diagnostics);
    let data = DataFiles::read(&policies, &mut sources, &mut diagnostics);
    let mut names = Names::new(catalogue);
    let mut gather = Gather { policies: &policies, index: &index, data: &data, names: &mut names };
    let events: Vec<_> = policies.iter().map(|policy| gather.events(policy)).collect();
    let names = Arc::new(names);
    let spaces = spaces(&policies, &names, &events);
    diagnostics.extend(check::run(&check::Set {
        sources: &sources,
        policies: &policies,
        index: &index,
        data: &data,
        names: &names,
        events: &events,
        spaces: &spaces,
        broken: &broken,
    }));
    let library = Library { inner: Arc::new(Inner { sources: Arc::new(sources), policies, index, data, names, events, spaces }) };
    (library, tidy(diagnostics))
}

/// The frames of those policies that own one.
fn spaces(policies: &[Policy], names: &Arc<Names>, events: &[Vec<Event>]) -> Vec<Option<Space>> {
    let frames = |part: &[Policy]| {
        let mut builder = Builder::new(names, events);
        part.iter().map(|policy| policy.owns_frame().then(|| builder.space(policy))).collect::<Vec<_>>()
    };
    parts(policies, frames).into_iter().flatten().collect()
}

/// In the order of files and places, each problem once.
fn tidy(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|found| (found.span.file, found.span.start, found.span.end, found.code));
    diagnostics.dedup_by_key(|found| (found.code, found.span));
    diagnostics
}

impl Library {
    /// The files; after the policy files come the data files that policies name.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.inner.sources
    }

    /// Everything declared, in the order of files.
    pub fn policies(&self) -> &[Policy] {
        &self.inner.policies
    }

    /// The set for whoever serves it: without the trees of bodies, which only compiling and explaining read. Customizations keep theirs,
    /// which are compared when policies change.
    #[must_use]
    pub fn without_bodies(&self) -> Library {
        let Inner { sources, policies, index, names, events, .. } = &*self.inner;
        let bare = |policy: &Policy| match policy.origin {
            Origin::Customization => policy.clone(),
            Origin::Shipped | Origin::Operator => Policy { item: Arc::new(policy.item.without_body()), ..policy.clone() },
        };
        let edges = |events: &Vec<Event>| {
            events.iter().filter(|event| matches!(event, Event::Include { .. } | Event::Call { .. })).cloned().collect()
        };
        let inner = Inner {
            sources: Arc::clone(sources),
            policies: policies.iter().map(bare).collect(),
            index: index.clone(),
            data: DataFiles::default(),
            names: Arc::clone(names),
            events: events.iter().map(edges).collect(),
            spaces: Vec::new(),
        };
        Library { inner: Arc::new(inner) }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Policy> {
        self.policies().iter().filter(move |policy| policy.kind() == kind)
    }

    /// All services, disabled ones too.
    pub fn services(&self) -> impl Iterator<Item = &Policy> {
        self.of_kind(Kind::Service)
    }

    /// All encapsulated assertions.
    pub fn assertions(&self) -> impl Iterator<Item = &Policy> {
        self.of_kind(Kind::Assertion)
    }

    /// All tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &Policy> {
        self.of_kind(Kind::Task)
    }

    /// All commands.
    pub fn commands(&self) -> impl Iterator<Item = &Policy> {
        self.of_kind(Kind::Command)
    }

    /// Policies that run before services, in the order of their names.
    pub fn before(&self) -> Vec<&Policy> {
        let mut all: Vec<&Policy> = self.of_kind(Kind::Before).filter(|policy| policy.has_body()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Policies that run after services, in the reverse order of their names: what is first before is last after.
    pub fn after(&self) -> Vec<&Policy> {
        let mut all: Vec<&Policy> = self.of_kind(Kind::After).filter(|policy| policy.has_body()).collect();
        all.sort_by(|a, b| b.name.cmp(&a.name));
        all
    }

    fn by_name(&self, kind: Kind, name: &str) -> Option<&Policy> {
        self.inner.index.get(kind, name).and_then(|id| self.inner.policies.get(id.index()))
    }

    /// The fragment of this name.
    pub fn fragment(&self, name: &str) -> Option<&Policy> {
        self.by_name(Kind::Fragment, name)
    }

    /// The encapsulated assertion of this name.
    pub fn assertion(&self, name: &str) -> Option<&Policy> {
        self.by_name(Kind::Assertion, name)
    }

    /// What fills `include "#target"`: the customization of `target`. `None` if it is missing or empty, so that the hook is
    /// absent.
    pub fn hook(&self, target: &str) -> Option<&Policy> {
        self.by_name(Kind::Customize, target).filter(|policy| policy.has_body())
    }

    /// What fills `include extension "name"`. `None` if it is missing or empty, so that the extension is absent.
    pub fn extension(&self, name: &str) -> Option<&Policy> {
        self.by_name(Kind::Extension, name).filter(|policy| policy.has_body())
    }

    /// The parameters of an assertion or command; of all others, none.
    pub fn params<'a>(&self, policy: &'a Policy) -> &'a [ast::Param] {
        policy.params()
    }

    /// The variables of a service, assertion, task or command. Other declarations live in the frames of those that include them.
    pub fn frame(&self, id: PolicyId) -> Option<&Frame> {
        self.inner.spaces.get(id.index())?.as_ref().map(|space| &space.frame)
    }

    /// Path and text of the data file that `file "path"` means in the policy file `from`.
    pub fn data(&self, from: FileId, path: &str) -> Option<(&str, &str)> {
        let (path, file) = self.inner.data.found(from, path)?;
        Some((path, &self.sources().get(file).text))
    }

    /// Media type and bytes of the picture that `data_uri file "path"` means.
    pub fn picture(&self, from: FileId, path: &crate::span::Spanned<String>) -> Option<(&'static str, &[u8])> {
        picture::find(self.sources(), from, path).ok()
    }

    /// That file as text with variables.
    pub fn template(&self, from: FileId, path: &str) -> Option<&[ast::Part]> {
        self.inner.data.template(from, path)
    }

    /// That file as a JSON template.
    pub fn json_template(&self, from: FileId, path: &str) -> Option<&ast::Json> {
        self.inner.data.json(from, path)
    }
}
