//! What an observer is told of a run.

use portcullis::exec::{Ended, Ending, Observer};
use portcullis_dsl::{Origin, Span};

use crate::harness;

const POLICY: &str = r#"assertion "Check" (in n) fails with why {
    ${n} < 3 else fail "too much"
}
command "watched" (out sum: int) {
    set sum = 0
    if ${sum} == 1 {
        set sum = 100
    }
    ForEach n in [1, 2, 3] {
        "Check" (n: ${n.current}) else {
            set n.break = true
        }
        set sum = ${sum} + ${n.current}
    }
    HandleErrors {
        Raise "no"
        set sum = 200
    }
}
"#;

/// Records what it is told, as `line: first word`.
#[derive(Default)]
struct Recorder(Vec<String>);

impl Recorder {
    fn note(&mut self, what: &str, place: Span) {
        let line = POLICY[..place.start as usize].matches('\n').count() + 1;
        self.0.push(format!("{line} {what}"));
    }
}

impl Observer for Recorder {
    fn begun(&mut self, place: Span) {
        self.note("begins", place);
    }

    fn ended(&mut self, place: Span, how: Ended) {
        let how = match how {
            Ended::Held => "holds",
            Ended::Failed => "fails",
            Ended::Broken => "breaks",
        };
        self.note(how, place);
    }
}

#[test]
fn an_observer_sees_which_statements_ran_and_how_they_ended() {
    let site = harness::site(&[("policies/case.policy", POLICY, Origin::Shipped)]).expect("a site");
    let mut recorder = Recorder::default();
    let (ending, outputs) = harness::wait(site.run_named_observed("watched", &[], &mut recorder)).expect("a command");
    assert!(matches!(ending, Ending::Held), "{ending:?}");
    assert_eq!(outputs[0].1.as_text(), "6");
    let lines: std::collections::BTreeSet<&str> = recorder.0.iter().filter_map(|note| note.split(' ').next()).collect();
    let lines: Vec<&str> = lines.into_iter().collect();
    // Not the statement after a false condition, nor the one after an error.
    assert_eq!(lines, ["10", "11", "13", "15", "16", "2", "5", "6", "9"], "{:#?}", recorder.0);
    let third: Vec<&str> = recorder.0.iter().map(String::as_str).skip_while(|note| *note != "2 fails").collect();
    assert_eq!(third[..5], ["2 fails", "2 begins", "2 fails", "10 fails", "11 begins"], "{:#?}", recorder.0);
    assert!(recorder.0.contains(&"16 breaks".to_owned()));
}
