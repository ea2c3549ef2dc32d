//! From an export to files and a report.

mod around;
mod differences;
mod toolkit;
mod unit;

use std::collections::{BTreeMap, HashSet};

use crate::entities;
use crate::model::{Export, Place, Role};
use crate::names::{Becomes, Names, find_policy};
use crate::read::{Input, read};
use crate::report::*;
use crate::{Imported, Options, OutFile, Problem, Shipped};
use differences::differences;
use unit::{Head, Unit};

/// How often what the checks refuse is translated in another way.
const ROUNDS: usize = 12;

/// The code of a variable that nothing sets.
const UNKNOWN_VARIABLE: &str = "P0216";
/// Codes of a service's path.
const PATHS: [&str; 3] = ["P0134", "P0220", "P0221"];

/// The code of a variable that nothing reads.
const UNREAD_VARIABLE: &str = "P0321";

/// Translates an export. `check` says what the gateway finds wrong with files, and warns of what hooks set in vain; a step with an error becomes `Unsupported`,
/// and a variable that nothing sets is declared.
pub fn import(
    inputs: &[Input],
    shipped: &Shipped,
    options: &Options,
    check: &mut dyn FnMut(&[OutFile]) -> Vec<Problem>,
) -> Imported {
    let export = read(inputs);
    let names = Names::new(&export, shipped, options);
    let mut units = units(&export, &names);
    units.iter_mut().for_each(|unit| unit.make(&export, &names));
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for _ in 0..ROUNDS {
        (warnings, errors) = check(&files_of(&units)).into_iter().partition(|problem| problem.warning);
        let mut changed = HashSet::new();
        for problem in &errors {
            let Some(at) = units.iter().position(|unit| unit.path == problem.path) else { continue };
            if let Some(unit) = units.get_mut(at)
                && settle(unit, problem)
            {
                changed.insert(at);
            }
        }
        if changed.is_empty() {
            break;
        }
        for at in changed {
            if let Some(unit) = units.get_mut(at) {
                unit.make(&export, &names);
            }
        }
    }
    around::without_unsupported(&mut units);
    let zone = options.zone.as_deref();
    let local: Vec<&str> = units.iter().filter_map(|unit| local_task(&export, unit)).collect();
    let made = entities::translate(&export, &local, zone);
    let mut report = report(inputs, &export, &names, &units, &made, &errors, zone);
    report.findings.extend(toolkit::told(&export, &names, options));
    differences(&mut report, &names, &units, &warnings, toolkit::is_unknown(&export, &names));
    let mut files = files_of(&units);
    files.extend(made.files.into_iter().map(|(path, text)| OutFile { path, text }));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Imported { files, report, errors }
}

/// The name of a task whose times depend on the time zone.
fn local_task<'u>(export: &Export, unit: &'u Unit) -> Option<&'u str> {
    let Head::Task(at, name) = &unit.head else { return None };
    export.tasks.get(*at).filter(|task| is_local(&task.cron)).map(|_| name.as_str())
}

fn files_of(units: &[Unit]) -> Vec<OutFile> {
    units.iter().map(|unit| OutFile { path: unit.path.clone(), text: unit.text.clone() }).collect()
}

/// Changes what a unit will be, so that a problem goes away. `false` if nothing helps.
fn settle(unit: &mut Unit, problem: &Problem) -> bool {
    if problem.code == UNKNOWN_VARIABLE {
        let name = root(problem.text.trim_matches('"'));
        return crate::translate::build::is_variable(&name) && unit.declares.insert(name);
    }
    if PATHS.contains(&problem.code.as_str()) && !unit.moved {
        unit.moved = true;
        return true;
    }
    let Some(step) = unit.step_at(problem.offset) else { return false };
    let why = format!("{} ({})", problem.message, problem.code);
    unit.refused.insert(step, why).is_none()
}

/// The variable behind a name that nothing sets: without a part that any message, list or moment has.
fn root(name: &str) -> String {
    const PARTS: [&str; 14] = [
        ".mainpart",
        ".http.",
        ".contenttype",
        ".seconds",
        ".millis",
        ".utc",
        ".length",
        ".size",
        ".json",
        ".subject",
        ".issuer",
        ".serial",
        ".compact",
        ".originalmainpart",
    ];
    let lower = name.to_ascii_lowercase();
    let ends = |part: &&str| {
        if part.ends_with('.') { lower.find(*part) } else { lower.ends_with(*part).then(|| lower.len() - part.len()) }
    };
    let at = PARTS.iter().filter_map(ends).min().unwrap_or(name.len());
    name.get(..at).unwrap_or(name).to_owned()
}

/// What is written: a file each.
fn units(export: &Export, names: &Names) -> Vec<Unit> {
    let mut paths = Paths::default();
    let mut units = Vec::new();
    for (at, (policy, becomes)) in export.policies.iter().zip(&names.becomes).enumerate() {
        let folder = |own: &str| paths_of(&policy.folder, own);
        let (head, path) = match becomes {
            Becomes::Shipped(_) | Becomes::Unchanged(_) => continue,
            Becomes::Service(name) => (Head::Service(name.clone()), folder(name)),
            Becomes::Fragment(name) => (Head::Fragment(name.clone()), folder(name)),
            Becomes::Body(encass) => {
                let Some(Some(name)) = names.assertions.get(*encass) else { continue };
                (Head::Assertion(*encass, name.clone()), folder(name))
            }
            Becomes::Customize(name) => {
                let file = names.file_of(name).map(str::to_owned);
                (Head::Customize(name.clone()), file.unwrap_or_else(|| format!("customizations/#{}.policy", file_name(name))))
            }
            Becomes::Extension(name) => {
                let file = names.file_of(name).map(str::to_owned);
                (Head::Extension(name.clone()), file.unwrap_or_else(|| format!("customizations/{}.policy", file_name(name))))
            }
        };
        if let Some(fragment) = names.shared.get(&at) {
            let own = paths.free(&folder(fragment));
            units.push(Unit::new(paths.free(&path), Head::Shared(at, words_name(&head)), None));
            units.push(Unit::new(own, Head::Fragment(fragment.clone()), Some(at)));
            continue;
        }
        if let (Head::Fragment(fragment), Some((moment, before))) = (&head, around::moment(policy)) {
            let name = format!("{moment} {fragment}");
            let own = paths.free(&folder(&name));
            units.push(Unit::new(own, Head::Around(before, name, fragment.clone()), None));
        }
        units.push(Unit::new(paths.free(&path), head, Some(at)));
    }
    for (at, encass) in export.encasses.iter().enumerate() {
        let has_body = names.becomes.contains(&Becomes::Body(at));
        if let (Some(Some(name)), false) = (names.assertions.get(at), has_body) {
            let body = find_policy(export, &encass.policy);
            let folder = body.and_then(|body| export.policies.get(body)).map(|policy| policy.folder.clone()).unwrap_or_default();
            units.push(Unit::new(paths.free(&paths_of(&folder, name)), Head::Wrapper(at, name.clone()), None));
        }
    }
    for (at, task) in export.tasks.iter().enumerate() {
        if is_unchanged(export, names, &task.policy) {
            continue;
        }
        if let Some(name) = names.tasks.get(at)
            && has_times(&task.cron)
            && !task.once
            && task.enabled
        {
            let path = paths.free(&paths_of(&["tasks".to_owned()], name));
            units.push(Unit::new(path, Head::Task(at, name.clone()), None));
        }
    }
    units
}

fn words_name(head: &Head) -> String {
    if let Head::Customize(name) = head { name.clone() } else { String::new() }
}

/// Paths that are taken; case does not tell files apart everywhere.
#[derive(Default)]
struct Paths(HashSet<String>);

impl Paths {
    fn free(&mut self, wanted: &str) -> String {
        let (stem, end) = wanted.strip_suffix(".policy").map_or((wanted, ""), |stem| (stem, ".policy"));
        let mut path = wanted.to_owned();
        let mut number = 1;
        while !self.0.insert(path.to_lowercase()) {
            number += 1;
            path = format!("{stem} ({number}){end}");
        }
        path
    }
}

/// Deepest folder that is kept; the gateway reads no deeper than 16.
const FOLDERS: usize = 12;

fn paths_of(folder: &[String], name: &str) -> String {
    let mut path = String::from("services/");
    for part in folder.iter().take(FOLDERS) {
        path.push_str(&file_name(part));
        path.push('/');
    }
    format!("{path}{}.policy", file_name(name))
}

/// A name as a file's: without what file systems or the gateway's reader take amiss.
pub(crate) fn file_name(name: &str) -> String {
    let fits = |c: char| {
        if c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '=' | '(' | ')' | '+' | ',' | '\'') { c } else { '-' }
    };
    let name: String = name.chars().map(fits).collect();
    let name = name.trim().trim_start_matches('.').trim_end_matches(['.', ' ']);
    let end = name.floor_char_boundary(120);
    let name = name.get(..end).unwrap_or(name).trim();
    let is_log = name.to_ascii_lowercase().ends_with(".log");
    match name {
        "" => "unnamed".to_owned(),
        name if is_log => name.replace('.', "-"),
        name => name.to_owned(),
    }
}

/// Whether a task's times are in the notation of cron: five to seven fields.
pub(crate) fn has_times(cron: &str) -> bool {
    let field = |field: &str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?/,-#".contains(&byte));
    (5..=7).contains(&cron.split_whitespace().count()) && cron.split_whitespace().all(field)
}

/// Whether the times depend on the time zone: not, if every hour and day counts.
fn is_local(cron: &str) -> bool {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let hour = if fields.len() == 5 { 1 } else { 2 };
    let all = |field: &&str| matches!(*field, "*" | "?") || field.starts_with("*/") || field.starts_with("0/");
    !fields.iter().skip(hour).all(all)
}

fn report(
    inputs: &[Input],
    export: &Export,
    names: &Names,
    units: &[Unit],
    made: &entities::Made,
    errors: &[Problem],
    zone: Option<&str>,
) -> Report {
    let mut report = Report { inputs: inputs.iter().map(|input| input.path.clone()).collect(), ..Report::default() };
    let by_policy: BTreeMap<usize, &Unit> = units.iter().filter_map(|unit| Some((unit.policy?, unit))).collect();
    let mut told: Vec<Told> = Vec::new();
    let tell = |topic, message: String, place: &Place, told: &mut Vec<Told>| {
        told.push(Told { topic, policy: String::new(), from: place.to_string(), to: String::new(), message });
    };
    for damage in &export.damage {
        tell(Topic::Damage, damage.why.clone(), &damage.place, &mut told);
    }
    for (at, (policy, becomes)) in export.policies.iter().zip(&names.becomes).enumerate() {
        let guid = if policy.guid.is_empty() { policy.id.clone() } else { policy.guid.clone() };
        let read = policy.body.as_ref().map_or(0, |body| body.count() - 1);
        let mut own = PolicyReport {
            name: policy.name.clone(),
            becomes: words(becomes, names),
            guid,
            from: policy.place.to_string(),
            to: String::new(),
            release: String::new(),
            light: Light::Green,
            steps: Steps { read, ..Steps::default() },
            places: Vec::new(),
        };
        match by_policy.get(&at) {
            None => own.steps.shipped = read,
            Some(unit) => {
                unit.count(&mut own);
                let findings: Vec<Told> = unit.findings();
                let bad = policy.body.is_err() || own.steps.missing > 0 || errors.iter().any(|error| error.path == unit.path);
                let notable = |told: &&Told| !matches!(told.topic, Topic::Rewritten | Topic::Note);
                own.light = match () {
                    () if bad => Light::Red,
                    () if findings.iter().any(|told| notable(&told)) => Light::Yellow,
                    () => Light::Green,
                };
                told.extend(findings);
            }
        }
        if let Err(damage) = &policy.body {
            tell(Topic::Damage, format!("the policy `{}`: {}", policy.name, damage.why), &damage.place, &mut told);
        }
        if let Role::Special(what) = &policy.role {
            own.light = own.light.max(Light::Yellow);
            let fragment = if let Becomes::Fragment(name) = becomes { name.as_str() } else { "" };
            let runs = around::moment(policy).filter(|_| units.iter().any(|unit| unit.around() == Some(fragment)));
            let here = match (runs, around::moment(policy)) {
                (Some((moment, _)), _) => around::told(moment),
                (None, Some(_)) => "nothing runs it here, because it has a step without translation",
                (None, None) => "nothing runs it here",
            };
            let message = format!("`{}` ran at a moment of its own there ({what}); {here}", policy.name);
            tell(Topic::Trap(22), message, &policy.place, &mut told);
        }
        if let Role::Service(service) = &policy.role {
            if service.soap {
                tell(Topic::Note, format!("`{}` spoke SOAP: its WSDL is not looked at", policy.name), &policy.place, &mut told);
            }
            if by_policy.get(&at).is_some_and(|unit| unit.moved) || service.paths().is_empty() {
                let message = format!(
                    "service `{}`: its path `{}` cannot be one here, or is taken; it is switched off",
                    policy.name, service.path
                );
                own.light = own.light.max(Light::Yellow);
                tell(Topic::Name, message, &policy.place, &mut told);
            } else if let [segment, _] = service.paths().as_slice() {
                let message = format!(
                    "service `{}`: `{}` also matched paths that only begin like it, such as `{segment}x`; here it answers `{segment}` and \
                     `{segment}/*`",
                    policy.name, service.path
                );
                own.light = own.light.max(Light::Yellow);
                tell(Topic::Name, message, &policy.place, &mut told);
            }
        }
        report.steps.add(&own.steps);
        if let Some(count) = report.lights.get_mut(own.light as usize) {
            *count += 1;
        }
        report.policies.push(own);
    }
    for renamed in &names.renamed {
        let message = format!("`{}` is called `{}` here: {}", renamed.from, renamed.to, renamed.why);
        tell(Topic::Name, message, &Place::default(), &mut told);
    }
    for error in errors {
        let message = format!("{} ({})", error.message, error.code);
        told.push(Told { topic: Topic::Missing, policy: String::new(), from: String::new(), to: error.path.clone(), message });
    }
    for (message, place) in &made.security {
        tell(Topic::Security, message.clone(), place, &mut told);
    }
    report.entities = tasks(export, names, zone);
    for (task, _) in export.tasks.iter().zip(&report.entities).filter(|(_, told)| told.by_hand) {
        if zone.is_none() && has_times(&task.cron) {
            tell(Topic::Trap(19), ASSUMED_ZONE.to_owned(), &task.place, &mut told);
        }
    }
    report.entities.extend(made.told.iter().cloned());
    told.sort_by(|a, b| (a.topic, &a.message, &a.to, &a.from).cmp(&(b.topic, &b.message, &b.to, &b.from)));
    report.findings = told;
    report.files = units.iter().map(|unit| unit.path.clone()).chain(made.files.iter().map(|(path, _)| path.clone())).collect();
    report.files.sort();
    report
}

fn words(becomes: &Becomes, names: &Names) -> String {
    match becomes {
        Becomes::Service(name) => format!("service \"{name}\""),
        Becomes::Fragment(name) => format!("fragment \"{name}\""),
        Becomes::Body(encass) => {
            let name = names.assertions.get(*encass).and_then(Option::as_deref).unwrap_or("");
            format!("assertion \"{name}\"")
        }
        Becomes::Customize(name) => format!("customize \"{name}\""),
        Becomes::Extension(name) => format!("extension \"{name}\""),
        Becomes::Shipped(name) => format!("shipped: {name}"),
        Becomes::Unchanged(release) => format!("not imported: unchanged since release {release} of the toolkit"),
    }
}

/// Whether a policy stays away because nobody changed it.
fn is_unchanged(export: &Export, names: &Names, policy: &str) -> bool {
    find_policy(export, policy).is_some_and(|at| matches!(names.becomes.get(at), Some(Becomes::Unchanged(_))))
}

/// What is told of tasks whose hour or day is fixed.
const ASSUMED_ZONE: &str = "the times of this task are those of the zone of the gateway that is left; nobody said which, so UTC was taken: \
                            import with `--zone Europe/Berlin` (or where it is), or set `schedule_zone` or the task's `zone` in gateway.yaml";

fn tasks(export: &Export, names: &Names, zone: Option<&str>) -> Vec<EntityReport> {
    let mut all = Vec::new();
    for (task, name) in export.tasks.iter().zip(&names.tasks) {
        let (result, by_hand) = match has_times(&task.cron) {
            _ if is_unchanged(export, names, &task.policy) => {
                ("the toolkit's own; this gateway has tasks that do the same".to_owned(), false)
            }
            _ if task.once => ("it ran once; nothing is left to do".to_owned(), false),
            _ if !task.enabled => ("it was switched off".to_owned(), false),
            true if is_local(&task.cron) => match zone {
                Some(zone) => (format!("task \"{name}\" at \"{}\", by the clocks of {zone}", task.cron.trim()), false),
                None => (format!("task \"{name}\" at \"{}\": by UTC, which was assumed", task.cron.trim()), true),
            },
            true => (format!("task \"{name}\" at \"{}\"", task.cron.trim()), false),
            false => (format!("its times `{}` cannot be read: write a `task … at`", task.cron), true),
        };
        all.push(EntityReport {
            kind: "task".to_owned(),
            name: task.name.clone(),
            from: task.place.to_string(),
            result,
            by_hand,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_tasks_are_told_from_what_is_none() {
        for (cron, times, local) in [
            ("0 */13 * * * ?", true, false),
            ("0 0 */2 * * ?", true, false),
            ("0 0 3 ? * MON", true, true),
            ("0 3 * * *", true, true),
            ("*/5 * * * *", true, false),
            ("", false, false),
            ("0 3\" {} * * *", false, false),
        ] {
            assert_eq!((has_times(cron), has_times(cron) && is_local(cron)), (times, local), "{cron}");
        }
    }

    #[test]
    fn names_are_file_names() {
        assert_eq!(file_name("a/b:c"), "a-b-c");
        assert_eq!(file_name("..x. "), "x");
        assert_eq!(file_name("a.log"), "a-log");
        assert_eq!(root("resp.http.status"), "resp");
        assert_eq!(root("session.client_id"), "session.client_id");
    }
}
