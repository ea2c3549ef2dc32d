//! Case files as recordings: what they expect is the recorded answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_import::replay::{
    Difference, Kind, MAX_REQUESTS, Outcome, Recorded, Replayed, Side, compare, mask, mask_target, unmet,
};
use url::Url;

use super::{Client, Failure, unusable};
use crate::casefile::{Answer, Ask, Case, Elsewhere, Mismatch, Sent, StepKind, Turn};
use crate::cli::test::collect;
use crate::data::time::Clock;

/// Whether a path names cases: a file of theirs, or a folder.
pub(super) fn is_case(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|end| end.eq_ignore_ascii_case("case"))
}

/// Reads the cases among these paths.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| is_case(path)) {
        let mut own = Vec::new();
        collect(path, &mut own).map_err(|error| unusable(format!("{}: {error}", path.display())))?;
        if own.is_empty() {
            return Err(unusable(format!("{}: there are no case files in it", path.display())));
        }
        own.sort();
        files.extend(own);
    }
    let cases = files.iter().map(|file| Case::read(file)).collect::<Result<Vec<_>, _>>();
    let cases = cases.map_err(|failure| unusable(failure.to_string()))?;
    let requests = cases.iter().flat_map(|case| &case.steps).filter(|step| matches!(step.kind, StepKind::Request(_))).count();
    if requests > MAX_REQUESTS {
        return Err(unusable(format!("there are more than {MAX_REQUESTS} requests")));
    }
    Ok(cases)
}

/// Sends the requests of a case. Also gives what must be known about it.
pub(super) async fn play(
    client: &Client,
    gateways: &[&Url],
    case: &Case,
    variables: &BTreeMap<String, String>,
    ignored: &[String],
) -> (Vec<Replayed>, Option<String>) {
    let addresses: Vec<&str> = gateways.iter().map(|gateway| gateway.as_str()).collect();
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut run = Elsewhere::new(case, &addresses, variables);
    let mut done = Vec::new();
    while let Some(turn) = run.turn(now()) {
        let mut replayed = Replayed {
            name: mask(&case.title),
            place: String::new(),
            request: String::new(),
            outcome: Outcome::Skipped,
            why: String::new(),
            statuses: [None, None],
            differences: Vec::new(),
        };
        match turn {
            Turn::Left { place, request, why } => {
                (replayed.place, replayed.request, replayed.why) = (place, mask_target(&request), mask(&why));
            }
            Turn::Ask(ask) => {
                replayed.place.clone_from(&ask.place);
                send(client, gateways, &mut run, &ask, ignored, &mut replayed).await;
            }
        }
        done.push(replayed);
    }
    (done, run.note())
}

fn now() -> i64 {
    Clock::default().now_millis()
}

async fn send(
    client: &Client,
    gateways: &[&Url],
    run: &mut Elsewhere<'_>,
    ask: &Ask<'_>,
    ignored: &[String],
    replayed: &mut Replayed,
) {
    let Some(first) = ask.sends.first() else { return };
    replayed.request = format!("{} {}", first.method, mask_target(&first.target));
    replayed.outcome = Outcome::Unanswered;
    let mut answers = Vec::with_capacity(gateways.len());
    for (number, (gateway, sent)) in gateways.iter().zip(&ask.sends).enumerate() {
        let answer = match client.send(gateway, &recorded(sent)).await {
            Ok(answer) => answer,
            Err(why) => {
                // Another gateway goes on with what it answers.
                replayed.why = format!("{}: {why}", gateway.origin().ascii_serialization());
                continue;
            }
        };
        let (headers, body) = (answer.headers.clone(), answer.body.clone().unwrap_or_default());
        let unmet = run.answered(number, ask, &Answer { status: answer.status, headers, body }, now());
        if gateways.len() == 1 {
            replayed.differences = unmet.iter().filter_map(|one| difference(one, ignored)).collect();
        }
        answers.push(answer);
    }
    if !replayed.why.is_empty() {
        return;
    }
    match answers.as_slice() {
        [answer] => {
            let expected = ask.expected.map(|expected| expected.status.as_slice());
            replayed.statuses = [expected.and_then(|all| all.first().filter(|_| all.len() == 1)).copied(), Some(answer.status)];
            if expected.is_none() {
                replayed.why = "the case expects no answer that it could be compared with".to_owned();
                return;
            }
        }
        [one, other] => {
            replayed.statuses = [Some(one.status), Some(other.status)];
            let origins: Vec<String> = gateways.iter().map(|gateway| gateway.origin().ascii_serialization()).collect();
            let side = |answer, number: usize| Side { answer, origin: origins.get(number).map(String::as_str) };
            replayed.differences = compare(side(one, 0), side(other, 1), ignored).0;
        }
        _ => return,
    }
    let differs = replayed.differences.iter().any(|one| one.kind == Kind::Differs);
    replayed.outcome = if differs { Outcome::Different } else { Outcome::Equal };
}

fn recorded(sent: &Sent) -> Recorded {
    Recorded {
        method: sent.method.clone(),
        target: sent.target.clone(),
        headers: sent.headers.clone(),
        body: sent.body.clone().into_bytes(),
        ..Recorded::default()
    }
}

/// The places have the names that they have in other comparisons.
fn difference(one: &Mismatch, ignored: &[String]) -> Option<Difference> {
    let place = one.place.strip_prefix('$').map_or_else(|| one.place.clone(), |rest| format!("body{rest}"));
    match (one.wanted.as_str(), one.got.as_str()) {
        // The case itself is wrong here.
        ("", "") => unmet(&place, &one.message, "nothing", ignored),
        (wanted, got) => unmet(&place, wanted, got, ignored),
    }
}
