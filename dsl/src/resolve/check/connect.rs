//! How declarations connect: names must exist, hooks and extensions must be in their places, and each declaration in the right
//! part of the installation.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use crate::ast::{Call, Callee, Name, Stmt, StmtKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::index::{Kind, Policy, PolicyId, fold, same};
use crate::resolve::summary::{Event, takes_file_connection};
use crate::resolve::visit::{self, Visit};
use crate::span::{FileId, Origin, Span};

/// The `include` statements of one declaration.
#[derive(Default)]
struct Includes<'a> {
    fragments: Vec<&'a Name>,
    extensions: Vec<&'a Name>,
}

impl<'a> Visit<'a> for Includes<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Include(name) => self.fragments.push(name),
            StmtKind::IncludeExtension(name) => self.extensions.push(name),
            _ => visit::walk_stmt(self, stmt),
        }
    }
}

/// What operators can fill in one declaration.
pub(crate) struct Places<'a> {
    /// Its own name and the place, if it includes its hook.
    pub(crate) hook: Option<(&'a str, Span)>,
    pub(crate) extensions: Vec<&'a str>,
}

/// What operators can fill in a declaration.
pub(crate) fn places(policy: &Policy) -> Places<'_> {
    let mut includes = Includes::default();
    includes.block(&policy.item.body);
    includes.places(policy)
}

impl<'a> Includes<'a> {
    fn places(&self, policy: &'a Policy) -> Places<'a> {
        let own =
            |name: &&&Name| name.strip_prefix('#').is_some_and(|own| same(own, &policy.name)) && policy.kind() != Kind::Customize;
        Places {
            hook: self.fragments.iter().find(own).map(|name| (policy.name.as_str(), name.span)),
            extensions: self.extensions.iter().map(|name| name.as_str()).collect(),
        }
    }
}

/// The names of all places that operators can fill, in the form that names are compared in.
#[derive(Default)]
struct AllPlaces<'a> {
    hooks: BTreeMap<String, &'a str>,
    extensions: BTreeMap<String, &'a str>,
}

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    found.extend(duplicates(set));
    let mut all = AllPlaces::default();
    let mut declarations = Vec::new();
    for policy in set.policies {
        let mut includes = Includes::default();
        includes.block(&policy.item.body);
        let places = includes.places(policy);
        all.hooks.extend(places.hook.map(|(name, _)| (fold(name), name)));
        for name in places.extensions {
            all.extensions.entry(fold(name)).or_insert(name);
        }
        declarations.push((policy, includes));
    }
    for (policy, includes) in &declarations {
        found.extend(includes.fragments.iter().filter_map(|name| match name.strip_prefix('#') {
            Some(target) => hook(set, policy, name, target),
            None => fragment(set, name),
        }));
        found.extend(includes.extensions.iter().filter_map(|name| extension_place(set, name)));
        found.extend(place(policy));
        found.extend(match policy.kind() {
            Kind::Customize => customization(set, policy, &all),
            Kind::Extension => extension(set, policy, &all),
            Kind::Fragment | Kind::Assertion | Kind::Service | Kind::Task | Kind::Command | Kind::Before | Kind::After => None,
        });
    }
    never_included(set, found);
    unused_connections(set, found);
}

/// Looks for a call that uses the connection of its file.
struct FileConnection<'s, 'a> {
    set: &'s Set<'a>,
    used: bool,
}

impl<'a> Visit<'a> for FileConnection<'_, '_> {
    fn call(&mut self, call: &'a Call) {
        let spec = matches!(call.callee, Callee::Native(_)).then(|| self.set.catalogue().get(call.callee.name())).flatten();
        self.used |= spec.is_some_and(|spec| takes_file_connection(call, spec));
        visit::walk_call(self, call);
    }
}

fn unused_connections(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut files: BTreeMap<FileId, (Span, bool)> = BTreeMap::new();
    for policy in set.policies {
        if let Some(connection) = &policy.connection {
            let mut search = FileConnection { set, used: false };
            search.block(&policy.item.body);
            files.entry(policy.file).or_insert((connection.span.span, false)).1 |= search.used;
        }
    }
    let unused = files.into_iter().filter(|(file, (_, used))| !used && !set.broken.contains(file));
    found.extend(unused.map(|(_, (span, _))| {
        let message = "nothing in this file uses the connection";
        Diagnostic::warning(codes::UNUSED_CONNECTION, message, span).help("remove the line")
    }));
}

/// Two declarations of one kind and name. The shipped one counts, otherwise the earlier one.
fn duplicates(set: &Set<'_>) -> Vec<Diagnostic> {
    let mut first: HashMap<(Kind, String), &Policy> = HashMap::new();
    let mut found = Vec::new();
    let (shipped, own): (Vec<_>, Vec<_>) = set.policies.iter().partition(|policy| policy.origin == Origin::Shipped);
    for policy in shipped.into_iter().chain(own) {
        let key = (policy.kind(), fold(&policy.name));
        let Some(before) = first.get(&key) else {
            first.insert(key, policy);
            continue;
        };
        let (name, word) = (&policy.name, policy.kind().word());
        let of_ours = before.origin == Origin::Shipped && policy.origin != Origin::Shipped;
        let (message, help) = match policy.kind() {
            Kind::Customize => (format!("`{name}` is customized twice"), "put both into one customization"),
            Kind::Extension => (format!("extension `{name}` has two bodies"), "put both into one extension"),
            _ if of_ours => {
                (format!("`{name}` is a shipped {word} and cannot be declared again"), "choose another name, or customize it")
            }
            _ if before.name != policy.name => (
                format!("{word} `{name}` differs from `{}` only in case", before.name),
                "choose another name: names that differ only in case are the same",
            ),
            _ => (format!("{word} `{name}` is declared twice"), "choose another name"),
        };
        let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, message, policy.name_span());
        found.push(diagnostic.help(help).related(before.name_span(), "first declared here"));
    }
    found
}

fn fragment(set: &Set<'_>, name: &Name) -> Option<Diagnostic> {
    if let Some(id) = set.index.get(Kind::Fragment, name) {
        return spelled(name, &set.policy(id).name);
    }
    if set.may_exist(Kind::Fragment, name) {
        return None;
    }
    let error = |message: String| Diagnostic::error(codes::UNKNOWN_FRAGMENT, message, name.span);
    Some(match set.other_kind(name, Kind::Fragment) {
        Some((kind, id)) => {
            let help = match kind {
                Kind::Assertion => format!("call it: `\"{}\" (…)`", **name),
                Kind::Extension => format!("write `include extension \"{}\"`", **name),
                _ => "only fragments can be included".to_owned(),
            };
            error(format!("`{}` is {}, not a fragment", **name, kind.article()))
                .help(help)
                .related(set.policy(id).name_span(), "declared here")
        }
        None => error(format!("there is no fragment `{}`", **name)).suggest(name, set.index.names(Kind::Fragment)),
    })
}

/// A name that was found, but in another case than its declaration.
pub(crate) fn spelled(name: &Name, declared: &str) -> Option<Diagnostic> {
    (**name != declared).then(|| {
        let message = format!("`{}` is spelled `{declared}`", **name);
        Diagnostic::warning(codes::NAME_CASE, message, name.span).help(format!("write `\"{declared}\"`"))
    })
}

fn hook(set: &Set<'_>, policy: &Policy, name: &Name, target: &str) -> Option<Diagnostic> {
    if same(target, &policy.name) && policy.kind() != Kind::Customize {
        return spelled(name, &format!("#{}", policy.name));
    }
    let own = format!("#{}", policy.name);
    let error = |message: String| Diagnostic::error(codes::FOREIGN_HOOK, message, name.span);
    Some(if policy.kind() == Kind::Customize && same(target, &policy.name) {
        error(format!("the customization of `{target}` includes itself"))
    } else if set.index.get(Kind::Fragment, target).is_some() {
        error(format!("`#{target}` belongs only in `{target}`")).help(format!("include `{target}`, which includes its hook"))
    } else {
        let error = error(format!("`#{target}` is the hook of `{target}`, and this is `{}`", policy.name));
        error.suggest(name, [own.as_str()])
    })
}

fn extension_place(set: &Set<'_>, name: &Name) -> Option<Diagnostic> {
    let (kind, id) = match set.index.get(Kind::Extension, name) {
        Some(_) => return None,
        None => set.other_kind(name, Kind::Extension)?,
    };
    let help = match kind {
        Kind::Fragment => format!("write `include \"{}\"`", **name),
        Kind::Assertion => format!("call it: `\"{}\" (…)`", **name),
        _ => return None,
    };
    let message = format!("`{}` is {}, not an extension", **name, kind.article());
    let error = Diagnostic::error(codes::UNKNOWN_FRAGMENT, message, name.span);
    Some(error.help(help).related(set.policy(id).name_span(), "declared here"))
}

fn customization(set: &Set<'_>, policy: &Policy, places: &AllPlaces<'_>) -> Option<Diagnostic> {
    let name = policy.name.as_str();
    if let Some(hook) = places.hooks.get(&fold(name)) {
        return spelled(&policy.item.name, hook);
    }
    let target =
        [Kind::Fragment, Kind::Assertion, Kind::Service, Kind::Task, Kind::Command, Kind::Before, Kind::After].into_iter();
    let declared = |kind: Kind| Some((kind, set.index.get(kind, name)?));
    if let Some((kind, id)) = target.clone().find_map(declared) {
        let message = format!("{} `{name}` has no hook: it does not include `#{name}`", kind.word());
        let error = Diagnostic::error(codes::NO_HOOK, message, policy.name_span());
        return Some(named(error.related(set.policy(id).name_span(), "declared here"), name, &places.hooks, "hooks"));
    }
    if target.clone().any(|kind| set.may_exist(kind, name)) {
        return None;
    }
    let error = Diagnostic::error(codes::UNKNOWN_TARGET, format!("there is no policy `{name}` to customize"), policy.name_span());
    Some(if places.extensions.contains_key(&fold(name)) {
        error.help(format!("it is an extension: write `extension \"{name}\" {{ … }}`"))
    } else if let Some(target) = name.strip_prefix('#').filter(|target| places.hooks.contains_key(&fold(target))) {
        error.help(format!("name the policy without `#`: `customize \"{target}\"`"))
    } else {
        named(error, name, &places.hooks, "hooks")
    })
}

/// Most names that a message lists.
const LISTED: usize = 30;

/// Suggests existing names: the nearest one, those that share a word, or all of them.
fn named(error: Diagnostic, wrong: &str, known: &BTreeMap<String, &str>, what: &str) -> Diagnostic {
    let error = error.suggest(wrong, known.values().copied());
    let word = |text: &str| -> HashSet<String> {
        let long = |word: &&str| word.len() > 3;
        text.split(|c: char| !c.is_alphanumeric()).filter(long).map(str::to_lowercase).collect()
    };
    let wrong = word(wrong);
    let close: Vec<&str> = known.values().copied().filter(|name| !word(name).is_disjoint(&wrong)).collect();
    let shown = if close.is_empty() { known.values().copied().take(LISTED).collect() } else { close };
    if error.help.is_some() || shown.is_empty() {
        return error;
    }
    error.help(format!("{what} that exist: `{}`", shown.join("`, `")))
}

fn extension(set: &Set<'_>, policy: &Policy, places: &AllPlaces<'_>) -> Option<Diagnostic> {
    let name = policy.name.as_str();
    if let Some(place) = places.extensions.get(&fold(name)) {
        return spelled(&policy.item.name, place);
    }
    if !set.broken.is_empty() {
        return None;
    }
    let error = Diagnostic::error(codes::UNKNOWN_TARGET, format!("no policy includes an extension `{name}`"), policy.name_span());
    Some(if places.hooks.contains_key(&fold(name)) {
        error.help(format!("it has a hook: write `customize \"{name}\" {{ … }}`"))
    } else {
        named(error, name, &places.extensions, "extensions")
    })
}

/// Upgrades replace the shipped part and leave `customizations/` alone, so each part may contain only what the other cannot
/// break.
fn place(policy: &Policy) -> Option<Diagnostic> {
    let fills = matches!(policy.kind(), Kind::Customize | Kind::Extension);
    let error = |message: String| Diagnostic::error(codes::WRONG_PLACE, message, policy.name_span());
    let word = policy.kind().word();
    match policy.origin {
        Origin::Customization if !fills => {
            let error = error(format!("{} is not allowed among the customizations", policy.kind().article()));
            Some(error.help("only `customize` and `extension` are allowed here; put your own policies into `services/`"))
        }
        Origin::Shipped | Origin::Operator if fills => Some(
            error(format!("{} is allowed only in `customizations/`", policy.kind().article()))
                .help(format!("move the {word} there")),
        ),
        Origin::Customization | Origin::Shipped | Origin::Operator => None,
    }
}

fn never_included(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let targets = set.events.iter().flatten().filter_map(|event| match event {
        Event::Include { to, .. } => Some(*to),
        _ => None,
    });
    let included: HashSet<PolicyId> = targets.collect();
    // Of two with the same name only the first can be included; that is already reported.
    let idle = |policy: &&Policy| {
        policy.origin == Origin::Operator
            && set.index.get(Kind::Fragment, &policy.name) == Some(policy.id)
            && !included.contains(&policy.id)
    };
    found.extend(set.policies.iter().filter(idle).map(|policy| {
        let message = format!("nothing includes fragment `{}`", policy.name);
        Diagnostic::warning(codes::NEVER_INCLUDED, message, policy.name_span())
    }));
}
