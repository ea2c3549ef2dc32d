//! How customizations differ from what this gateway expects of them: variables that one side sets and the other does not know.

use std::collections::BTreeSet;

use super::UNREAD_VARIABLE;
use super::unit::Unit;
use crate::Problem;
use crate::names::{Becomes, Names};
use crate::releases::State;
use crate::report::{Report, Told, Topic};

/// Tells of policies of the toolkit that somebody changed, and of the variables of customizations.
///
/// `unknown`: of which release the toolkit is, nobody knows.
pub fn differences(report: &mut Report, names: &Names, units: &[Unit], warnings: &[Problem], unknown: bool) {
    let mut found = Vec::new();
    for (at, (becomes, state)) in names.becomes.iter().zip(&names.states).enumerate() {
        let Some(own) = report.policies.get_mut(at) else { continue };
        own.release = match state {
            State::Unknown => String::new(),
            State::Unchanged(release) => format!("{release}, unchanged"),
            State::Changed(_) if unknown => "unknown".to_owned(),
            State::Changed(releases) => format!("{releases}, changed"),
        };
        let hook = matches!(becomes, Becomes::Customize(_) | Becomes::Extension(_));
        if let (State::Changed(releases), false) = (state, hook) {
            found.push(Told {
                topic: Topic::Changed,
                policy: own.name.clone(),
                from: own.from.clone(),
                to: own.to.clone(),
                message: match unknown {
                    true => "a policy of the toolkit that differs from that of each known release: if you changed it, the change \
                             is not in the one that this gateway ships"
                        .to_owned(),
                    false => format!(
                        "`{}` is a policy of the toolkit that no operator should change, and differs from that of {releases}: what \
                         was changed there is not in the one that this gateway ships",
                        own.name
                    ),
                },
            });
        }
    }
    let customizations = units.iter().filter(|unit| unit.path.starts_with("customizations/"));
    for unit in customizations {
        let policy = unit.policy.and_then(|at| report.policies.get(at));
        let name = policy.map(|policy| policy.name.clone()).unwrap_or_default();
        let from = policy.map(|policy| policy.from.clone()).unwrap_or_default();
        let mut tell = |message: String| {
            found.push(Told { topic: Topic::Variable, policy: name.clone(), from: from.clone(), to: unit.path.clone(), message });
        };
        for variable in &unit.declares {
            tell(format!("`{variable}` is read there, and nothing here sets it: it is undefined"));
        }
        let unread = warnings.iter().filter(|warning| warning.path == unit.path && warning.code == UNREAD_VARIABLE);
        let unread: BTreeSet<&str> = unread.map(|warning| warning.text.trim_matches('"')).collect();
        for variable in unread {
            tell(format!("`{variable}` is set there, and nothing here reads it: it does nothing"));
        }
    }
    report.findings.extend(found);
    report.findings.sort_by(|a, b| (a.topic, &a.message, &a.to, &a.from).cmp(&(b.topic, &b.message, &b.to, &b.from)));
}
