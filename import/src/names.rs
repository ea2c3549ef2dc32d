//! GUIDs and names of the export, and what each is called here.

use std::collections::{HashMap, HashSet};

use portcullis_dsl::Library;
use portcullis_dsl::ast::{Direction, ItemKind, Type};

use crate::model::{Encass, Export, Policy, Role};
use crate::releases::{State, left_out};
use crate::{Options, Otk, Releases};

/// An input of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// It takes a message, which a call names as a variable.
    pub message: bool,
    /// A call must give it.
    pub required: bool,
}

/// What an include or a call means here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name here.
    pub name: String,
    /// Its inputs, if it is an assertion.
    pub inputs: Vec<Input>,
    /// This gateway ships it.
    pub shipped: bool,
}

/// What a policy becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// `service`
    Service(String),
    /// `fragment`
    Fragment(String),
    /// The body of this encapsulated assertion, by its place in the export.
    Body(usize),
    /// `customize "…"`
    Customize(String),
    /// `extension "…"`
    Extension(String),
    /// Nothing: this gateway ships it under this name.
    Shipped(String),
    /// Nothing: nobody changed it since this release of the toolkit.
    Unchanged(String),
}

/// What this gateway ships.
#[derive(Debug, Default)]
pub struct Shipped {
    assertions: HashMap<String, Target>,
    /// Hooks by the name of their policy, extensions by their own; and the file that fills each.
    hooks: HashMap<String, (String, bool, String)>,
    services: HashSet<String>,
    fragments: HashSet<String>,
    tasks: HashSet<String>,
}

impl Shipped {
    /// Of the policies that a gateway without any own ones has.
    pub fn of(library: &Library) -> Shipped {
        let mut shipped = Shipped::default();
        let own =
            |policies: Vec<&portcullis_dsl::Policy>| policies.into_iter().map(|policy| policy.name.to_lowercase()).collect();
        shipped.services = own(library.services().collect());
        shipped.tasks = own(library.tasks().collect());
        for policy in library.policies() {
            match &policy.item.kind {
                ItemKind::Fragment => {
                    shipped.fragments.insert(policy.name.to_lowercase());
                }
                ItemKind::Assertion(params) => {
                    let inputs = params.iter().filter(|param| param.direction == Direction::In).map(|param| Input {
                        name: param.name.node.clone(),
                        message: param.ty.as_ref().is_some_and(|ty| ty.node == Type::Message),
                        required: !param.optional && param.default.is_none(),
                    });
                    let target = Target { name: policy.name.clone(), inputs: inputs.collect(), shipped: true };
                    shipped.assertions.insert(spelled(&policy.name), target);
                }
                _ => {}
            }
        }
        for hook in library.hooks() {
            let key = if hook.extension { spelled(&hook.name) } else { spelled(&format!("#{}", hook.name)) };
            shipped.hooks.insert(key, (hook.name, hook.extension, hook.file));
        }
        shipped
    }

    /// The place to fill that a policy of this name is for.
    fn hook(&self, name: &str) -> Option<&(String, bool, String)> {
        self.hooks.get(&spelled(name))
    }

    /// The assertion of this name.
    fn assertion(&self, name: &str) -> Option<&Target> {
        self.assertions.get(&spelled(name))
    }
}

/// A name under one spelling: the toolkit's releases differ in upper and lower case, in blanks, and write both "Look Up" and "Lookup".
pub fn spelled(name: &str) -> String {
    name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").replace("look up", "lookup")
}

/// A name that had to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// As it was.
    pub from: String,
    /// As it is.
    pub to: String,
    /// Why.
    pub why: &'static str,
}

/// All names.
#[derive(Debug, Default)]
pub struct Names {
    /// By policy: what it becomes.
    pub becomes: Vec<Becomes>,
    /// By policy: whether the toolkit ships it so.
    pub states: Vec<State>,
    /// By encapsulated assertion: its name here; `None` where the shipped one is called.
    pub assertions: Vec<Option<String>>,
    /// By task: its name here.
    pub tasks: Vec<String>,
    /// Names that had to be changed.
    pub renamed: Vec<Renamed>,
    fragments: HashMap<String, Target>,
    calls: HashMap<String, Target>,
    shipped: HashMap<String, Target>,
    hooks: HashSet<String>,
    extensions: HashMap<String, String>,
    /// By policy: the fragment that holds the body of a customization which imported policies include, too.
    pub shared: HashMap<usize, String>,
    providers: HashMap<String, String>,
    certificates: HashMap<String, String>,
    files: HashMap<String, String>,
}

/// Names of one kind that are taken.
struct Taken(HashSet<String>);

impl Taken {
    fn free(&mut self, wanted: &str, renamed: &mut Vec<Renamed>) -> String {
        let wanted = usable(wanted);
        let mut name = wanted.clone();
        let mut number = 1;
        while !self.0.insert(name.to_lowercase()) {
            number += 1;
            name = format!("{wanted} ({number})");
        }
        if name != wanted {
            renamed.push(Renamed { from: wanted, to: name.clone(), why: "the name is taken" });
        }
        name
    }
}

/// A name that a declaration can have.
fn usable(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.replace("${", "$ {");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match plain.strip_prefix('#') {
        // `#X` is the hook of X, and nothing else.
        Some(own) => format!("{} (own values)", own.trim()),
        None if plain.is_empty() => "unnamed".to_owned(),
        None => plain,
    }
}

impl Names {
    /// Gives everything its name.
    pub fn new(export: &Export, shipped: &Shipped, options: &Options) -> Names {
        let mut names = Names { shipped: shipped.assertions.clone(), ..Names::default() };
        names.hooks = shipped.hooks.keys().cloned().collect();
        for provider in &export.providers {
            names.providers.insert(provider.id.to_lowercase(), provider.name.clone());
            names.providers.insert(provider.name.to_lowercase(), provider.name.clone());
        }
        for certificate in &export.certificates {
            let file = crate::write::file_name(&certificate.name);
            names.certificates.insert(certificate.id.to_lowercase(), file.clone());
            names.certificates.insert(certificate.name.to_lowercase(), file);
        }
        let internal = "Internal Identity Provider".to_owned();
        for id in ["0000000000000000fffffffffffffffe", "-2", ""] {
            names.providers.entry(id.to_owned()).or_insert_with(|| internal.clone());
        }
        let bodies: Vec<Option<usize>> = export.encasses.iter().map(|encass| body_of(export, encass)).collect();
        let none = Releases::none();
        let releases = if options.otk == Otk::Shipped { &options.releases } else { &none };
        names.states = export.policies.iter().map(|policy| releases.of(policy)).collect();
        // What a policy includes that is not imported counts for nothing.
        let replaced = |policy: &Policy| {
            let owners = export.encasses.iter().filter(|encass| {
                find_policy(export, &encass.policy)
                    .and_then(|at| export.policies.get(at))
                    .is_some_and(|own| std::ptr::eq(own, policy))
            });
            let mut owners = owners.peekable();
            let own = |encass: &Encass| shipped.assertion(&encass.name).filter(|_| options.otk == Otk::Shipped);
            owners.peek().is_some() && owners.all(|encass| own(encass).is_some_and(|own| fits(own, encass)))
        };
        let left_out = left_out(export, &names.states, &|at| export.policies.get(at).is_some_and(&replaced));
        let used = included(export, &|at, policy| left_out.contains(&at) || replaced(policy));
        let mut taken_assertions = Taken(shipped.assertions.values().map(|own| own.name.to_lowercase()).collect());
        for (at, encass) in export.encasses.iter().enumerate() {
            let own = shipped.assertion(&encass.name).filter(|_| options.otk == Otk::Shipped);
            let fits = own.filter(|own| fits(own, encass));
            if fits.is_none() && bodies.get(at).copied().flatten().is_some_and(|body| left_out.contains(&body)) {
                names.assertions.push(None);
                continue;
            }
            let name = match fits {
                Some(_) => None,
                None => Some(taken_assertions.free(&encass.name, &mut names.renamed)),
            };
            let target = match (fits, &name) {
                (Some(own), _) => own.clone(),
                (None, Some(name)) => Target {
                    name: name.clone(),
                    inputs: encass
                        .inputs
                        .iter()
                        .filter(|input| input.prompt)
                        .map(|input| Input {
                            name: input.name.clone(),
                            message: input.ty.eq_ignore_ascii_case("message"),
                            required: false,
                        })
                        .collect(),
                    shipped: false,
                },
                (None, None) => continue,
            };
            for key in [&encass.guid, &encass.id] {
                if !key.is_empty() {
                    names.calls.insert(key.to_lowercase(), target.clone());
                }
            }
            names.calls.entry(format!("name:{}", encass.name.to_lowercase())).or_insert(target);
            names.assertions.push(name);
        }
        let mut services = Taken(shipped.services.clone());
        let mut fragments = Taken(shipped.fragments.clone());
        for (at, policy) in export.policies.iter().enumerate() {
            let becomes = match (&policy.role, names.states.get(at)) {
                (_, Some(State::Unchanged(release))) if left_out.contains(&at) => Becomes::Unchanged(release.clone()),
                (Role::Service(_), _) => Becomes::Service(services.free(&policy.name, &mut names.renamed)),
                (Role::Fragment | Role::Special(_), _) => {
                    names.fragment_or_body(at, policy, &bodies, &used, shipped, &mut fragments, options)
                }
            };
            if let Becomes::Extension(name) = &becomes {
                let keys = [&policy.guid, &policy.id].into_iter().filter(|key| !key.is_empty()).map(|key| key.to_lowercase());
                names.extensions.extend(keys.map(|key| (key, name.clone())));
            }
            let fragment = match &becomes {
                Becomes::Fragment(name) => Some(name.clone()),
                Becomes::Customize(name) if is_used(&used, policy) => {
                    let name = fragments.free(&format!("{name} (own values)"), &mut names.renamed);
                    names.shared.insert(at, name.clone());
                    Some(name)
                }
                _ => None,
            };
            if let Some(name) = &fragment {
                let target = Target { name: name.clone(), inputs: Vec::new(), shipped: false };
                for key in [&policy.guid, &policy.id] {
                    if !key.is_empty() {
                        names.fragments.insert(key.to_lowercase(), target.clone());
                    }
                }
                names.fragments.entry(format!("name:{}", policy.name.to_lowercase())).or_insert(target);
            }
            names.becomes.push(becomes);
        }
        let mut tasks = Taken(shipped.tasks.clone());
        for task in &export.tasks {
            let name = tasks.free(&task.name, &mut names.renamed);
            names.tasks.push(name);
        }
        names
    }

    #[expect(clippy::too_many_arguments, reason = "one decision, made of all that is known")]
    fn fragment_or_body(
        &mut self,
        at: usize,
        policy: &Policy,
        bodies: &[Option<usize>],
        used: &HashSet<String>,
        shipped: &Shipped,
        fragments: &mut Taken,
        options: &Options,
    ) -> Becomes {
        if let Some((name, extension, file)) = shipped.hook(&policy.name).filter(|_| options.otk == Otk::Shipped) {
            self.files.insert(name.clone(), file.clone());
            if !policy.name.eq_ignore_ascii_case(name) && *extension {
                self.renamed.push(Renamed { from: policy.name.clone(), to: name.clone(), why: "the place is spelled so here" });
            }
            return if *extension { Becomes::Extension(name.clone()) } else { Becomes::Customize(name.clone()) };
        }
        let owners: Vec<usize> =
            bodies.iter().enumerate().filter(|(_, body)| **body == Some(at)).map(|(owner, _)| owner).collect();
        let shared = is_used(used, policy);
        match owners.as_slice() {
            [owner] if !shared => match self.assertions.get(*owner) {
                Some(None) => Becomes::Shipped(policy.name.clone()),
                _ => Becomes::Body(*owner),
            },
            [first, ..] if !shared && owners.iter().all(|owner| matches!(self.assertions.get(*owner), Some(None))) => {
                let _ = first;
                Becomes::Shipped(policy.name.clone())
            }
            _ => {
                let name = fragments.free(&policy.name, &mut self.renamed);
                if policy.name.starts_with('#') {
                    self.renamed.push(Renamed {
                        from: policy.name.clone(),
                        to: name.clone(),
                        why: "a name with `#` is the hook of a shipped policy",
                    });
                }
                Becomes::Fragment(name)
            }
        }
    }

    /// The fragment behind an include.
    pub fn fragment(&self, guid: &str, name: &str) -> Option<&Target> {
        let by_guid = self.fragments.get(&guid.to_lowercase()).filter(|_| !guid.is_empty());
        by_guid.or_else(|| self.fragments.get(&format!("name:{}", name.to_lowercase()))).or_else(|| {
            // References of plug-in projects are paths.
            let path = name.trim_end_matches(".xml").to_lowercase();
            self.fragments.get(&path).filter(|_| !path.is_empty())
        })
    }

    /// The extension behind an include.
    pub fn extension(&self, guid: &str) -> Option<&str> {
        self.extensions.get(&guid.to_lowercase()).filter(|_| !guid.is_empty()).map(String::as_str)
    }

    /// The fragment that holds the body of an assertion or task.
    pub fn fragment_of(&self, policy: &Policy) -> Option<&Target> {
        let id = if policy.guid.is_empty() { &policy.id } else { &policy.guid };
        self.fragment(id, &policy.name)
    }

    /// The assertion behind a call.
    pub fn assertion<'n>(&self, guid: &str, name: &str, _given: impl Iterator<Item = &'n str>) -> Option<&Target> {
        let by_guid = self.calls.get(&guid.to_lowercase()).filter(|_| !guid.is_empty());
        let short = name.rsplit('/').next().unwrap_or(name);
        by_guid
            .or_else(|| self.calls.get(&format!("name:{}", name.to_lowercase())))
            .or_else(|| self.calls.get(&format!("name:{}", short.to_lowercase())))
            .or_else(|| self.shipped.get(&spelled(name)))
    }

    /// Whether a name is that of a place that operators fill.
    pub fn is_hook(&self, name: &str) -> bool {
        self.hooks.contains(&spelled(name))
    }

    /// The file that fills a place.
    pub fn file_of(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// The file in `keys/trusted/` that a certificate becomes, by its id or its name.
    pub fn certificate(&self, key: &str) -> Option<String> {
        self.certificates.get(&key.to_lowercase()).cloned().filter(|_| !key.is_empty())
    }

    /// The name of an identity provider.
    pub fn provider(&self, id: &str) -> Option<String> {
        self.providers.get(&id.to_lowercase()).cloned()
    }
}

/// Whether some policy includes this one.
fn is_used(used: &HashSet<String>, policy: &Policy) -> bool {
    [&policy.guid, &policy.id].iter().any(|key| !key.is_empty() && used.contains(&key.to_lowercase()))
        || used.contains(&format!("name:{}", policy.name.to_lowercase()))
}

/// Whether calls of an assertion may go to the shipped one: it knows every input that a call can give.
fn fits(shipped: &Target, encass: &Encass) -> bool {
    let knows = |name: &str| shipped.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name));
    encass.inputs.iter().filter(|input| input.prompt).all(|input| knows(&input.name))
}

/// The place of an encapsulated assertion's policy in the export.
pub fn body_of(export: &Export, encass: &Encass) -> Option<usize> {
    find_policy(export, &encass.policy)
}

/// A policy by its id, GUID, name or path.
pub fn find_policy(export: &Export, key: &str) -> Option<usize> {
    if key.is_empty() {
        return None;
    }
    let policies = || export.policies.iter().enumerate().filter(|(_, policy)| !matches!(policy.role, Role::Service(_)));
    let same = |own: &str| !own.is_empty() && own.eq_ignore_ascii_case(key);
    policies()
        .find(|(_, policy)| same(&policy.id) || same(&policy.guid))
        .or_else(|| policies().find(|(_, policy)| same(&policy.name)))
        .or_else(|| policies().find(|(_, policy)| same(key.rsplit('/').next().unwrap_or(key)) && same(&policy.name)))
        .map(|(at, _)| at)
}

/// What some policy includes, by GUID and by name, and what tasks run.
fn included(export: &Export, ships: &dyn Fn(usize, &Policy) -> bool) -> HashSet<String> {
    let mut found = HashSet::new();
    for (at, policy) in export.policies.iter().enumerate() {
        let Ok(body) = &policy.body else { continue };
        if ships(at, policy) {
            continue;
        }
        body.walk(&mut |step| {
            if step.kind == "Include" {
                let (guid, name) = (step.text("policyGuid"), step.text("policyName"));
                if !guid.is_empty() {
                    found.insert(guid.to_lowercase());
                }
                if !name.is_empty() {
                    found.insert(format!("name:{}", name.to_lowercase()));
                    found.insert(name.trim_end_matches(".xml").to_lowercase());
                }
            }
        });
    }
    for task in &export.tasks {
        found.insert(task.policy.to_lowercase());
        found.insert(format!("name:{}", task.policy.to_lowercase()));
    }
    found
}
