//! Everything that can be wrong with a policy set whose files were read. Checks change nothing: earlier steps prepared what they
//! need. No check stops another, so an author sees all problems at once.

mod answers;
mod booleans;
mod calls;
mod connect;
mod cycles;
mod done;
mod flow;
mod local;
mod markup;
mod ranges;
mod routes;
mod templates;
mod values;
mod variables;

use hashbrown::{HashMap, HashSet};

pub(crate) use connect::{Places, places};
pub(crate) use flow::{End, end};
pub use markup::AddressPlace;
pub use templates::address_places;

use crate::diagnostic::Diagnostic;
use crate::resolve::build::Space;
use crate::resolve::data::DataFiles;
use crate::resolve::index::{Index, Kind, Policy, PolicyId};
use crate::resolve::names::Names;
use crate::resolve::summary::Event;
use crate::shared::shared;
use crate::span::{FileId, Sources, Span};
use crate::spec::Catalogue;

/// The policy set as the checks see it.
pub(crate) struct Set<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) policies: &'a [Policy],
    pub(crate) index: &'a Index,
    pub(crate) data: &'a DataFiles,
    pub(crate) names: &'a Names,
    pub(crate) events: &'a [Vec<Event>],
    pub(crate) spaces: &'a [Option<Space>],
    /// Files with syntax errors: what seems missing there may only be misspelt.
    pub(crate) broken: &'a HashSet<FileId>,
}

/// Those that look at the whole set.
const WHOLE: [fn(&Set<'_>, &mut Vec<Diagnostic>); 8] =
    [variables::check, connect::check, booleans::check, routes::check, cycles::check, ranges::check, done::check, answers::check];

/// Runs all checks. Several threads share them.
pub(crate) fn run(set: &Set<'_>) -> Vec<Diagnostic> {
    let reached = set.reached();
    let check = |at: usize| {
        let mut found = Vec::new();
        let (whole, policy) = (WHOLE.get(at), at.checked_sub(WHOLE.len()).and_then(|at| set.policies.get(at)));
        if let Some(check) = whole {
            check(set, &mut found);
        } else if let Some(policy) = policy {
            local::check(set, policy, &mut found);
            flow::check(set, policy, &mut found);
            let way = || reached.get(&policy.id).into_iter().flat_map(|(space, member)| space.chain(*member));
            found = found.into_iter().map(|diagnostic| diagnostic.included_by(way())).collect();
        }
        found
    };
    shared(set.policies.len(), WHOLE.len() + set.policies.len(), check).into_iter().flatten().collect()
}

impl<'a> Set<'a> {
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: a policy's id is its place in this list")]
    pub(crate) fn policy(&self, id: PolicyId) -> &'a Policy {
        &self.policies[id.index()]
    }

    pub(crate) fn catalogue(&self) -> &'a Catalogue {
        self.names.catalogue()
    }

    /// Spaces with their owners.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = (&'a Policy, &'a Space)> {
        self.policies.iter().zip(self.spaces).filter_map(|(policy, space)| Some((policy, space.as_ref()?)))
    }

    /// For each policy that some frame includes, the first such frame and its place there.
    fn reached(&self) -> HashMap<PolicyId, (&'a Space, usize)> {
        let mut reached = HashMap::new();
        for (_, space) in self.spaces() {
            for (at, member) in space.members.iter().enumerate() {
                reached.entry(member.policy).or_insert((space, at));
            }
        }
        reached
    }

    /// Whether a file that could not be read in full may declare this name, so that its absence proves nothing.
    pub(crate) fn may_exist(&self, kind: Kind, name: &str) -> bool {
        let declaration = format!("{} \"{name}\"", kind.word());
        self.broken.iter().any(|file| self.sources.get(*file).text.contains(&declaration))
    }

    /// The first other kind under which the name exists.
    pub(crate) fn other_kind(&self, name: &str, but: Kind) -> Option<(Kind, PolicyId)> {
        [Kind::Fragment, Kind::Assertion, Kind::Extension, Kind::Service, Kind::Task, Kind::Command, Kind::Before, Kind::After]
            .into_iter()
            .filter(|kind| *kind != but)
            .find_map(|kind| Some((kind, self.index.get(kind, name)?)))
    }

    /// The text of a span.
    pub(crate) fn text(&self, span: Span) -> &'a str {
        self.sources.get(span.file).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }
}
