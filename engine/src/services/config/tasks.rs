//! `tasks` of `gateway.yaml`: when tasks run, and on which gateway.

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{Moment, Span};
use crate::data::time::Zone;

/// When a task runs. What is left out is as the policy says.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Task {
    /// Whether it runs by itself. Default: yes. Otherwise only `portcullis task run` runs it.
    pub enabled: bool,
    /// Time from one run to the next, 1s or more. Default: what the policy says.
    pub every: Option<Span>,
    /// The times at which it runs, in the notation of cron: `0 3 * * *` (minute, hour, day of the month, month, day of the week), or
    /// six fields that begin with the second. Default: what the policy says.
    pub at: Option<String>,
    /// The time zone of `at` (also of the policy) and of `days`, such as `Europe/Berlin`. Default: `schedule_zone`.
    pub zone: Option<Zone>,
    /// `one` (default): of the gateways that share the database of the task's file, one runs it at a time. `all`: each of them.
    pub nodes: Nodes,
    /// Days of the week on which it runs: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`. Default: all.
    pub days: Vec<Weekday>,
    /// Instead of again and again: once, at this time, such as `2027-01-31T03:00:00Z`.
    pub once: Option<Moment>,
}

impl Default for Task {
    fn default() -> Self {
        Task { enabled: true, every: None, at: None, zone: None, nodes: Nodes::One, days: Vec::new(), once: None }
    }
}

/// Which gateways run a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// One of those that share its database.
    One,
    /// Each.
    All,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// The day of this time in a zone.
    pub fn of(millis: i64, zone: &Zone) -> Option<Weekday> {
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        let day = usize::try_from(zone.weekday(millis)?).ok()?;
        [Mon, Tue, Wed, Thu, Fri, Sat, Sun].get(day).copied()
    }
}

impl Task {
    /// Whether it may run on the day of this time. Without a zone, days are those of UTC.
    pub fn on_day(&self, millis: i64) -> bool {
        let day = || match &self.zone {
            Some(zone) => Weekday::of(millis, zone),
            None => Weekday::of(millis, &Zone::default()),
        };
        self.days.is_empty() || day().is_some_and(|day| self.days.contains(&day))
    }

    /// What is wrong with it: the key, and why.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        if self.every.is_some_and(|every| every.0.as_secs() == 0) {
            found.push(("every", "must be 1s or more; `enabled: false` turns a task off"));
        }
        if self.at.as_ref().is_some_and(|times| crate::data::time::Schedule::parse(times).is_err()) {
            found.push(("at", "must be times in the notation of cron, such as `0 3 * * *`"));
        }
        if self.at.is_some() && (self.every.is_some() || self.once.is_some()) {
            found.push(("at", "excludes `every` and `once`: write one of them"));
        }
        if self.every.is_some() && self.once.is_some() {
            found.push(("once", "excludes `every`: a task runs once or again and again"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone() {
        let utc = Zone::default();
        assert_eq!(Weekday::of(0, &utc), Some(Weekday::Thu));
        assert_eq!(Weekday::of(-1, &utc), Some(Weekday::Wed));
        // The second of February 2026 is a Monday.
        let monday = crate::data::time::parse("2026-02-02T00:00:00Z").unwrap();
        assert_eq!(Weekday::of(monday, &utc), Some(Weekday::Mon));
        let task = Task { days: vec![Weekday::Mon], ..Task::default() };
        assert!(task.on_day(monday) && !task.on_day(monday - 1) && !task.on_day(monday + 86_400_000));
        let berlin = Task { zone: Zone::named("Europe/Berlin"), ..task };
        let midnight = monday - 3_600_000;
        assert!(berlin.on_day(midnight) && !berlin.on_day(midnight - 1) && !berlin.on_day(midnight + 86_400_000));
    }
}
