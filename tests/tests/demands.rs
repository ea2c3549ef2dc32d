//! What OpenID Connect asks of a provider (`cases/demands.yaml`): each demand has a case or a test, or says what is still to do.

use std::fs;
use std::path::Path;

use portcullis::Case;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Demand {
    /// Certification profiles: B basic, I implicit, H hybrid, C config, D dynamic, L logout.
    profiles: String,
    /// In our words.
    says: String,
    /// Cases (`openid/code-flow`), or tests (`tests/keys.rs: name_of_the_function`).
    #[serde(default)]
    proof: Vec<String>,
    /// What is still to do.
    open: Option<String>,
}

#[test]
fn every_demand_has_a_proof_or_says_what_is_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let demands: Vec<Demand> = serde_yaml::from_str(include_str!("../cases/demands.yaml")).expect("demands.yaml");
    let (mut shown, mut open) = (0, 0);
    for demand in &demands {
        assert!(!demand.profiles.is_empty() && demand.profiles.chars().all(|one| "BIHCDL".contains(one)), "{}", demand.says);
        assert!(demand.proof.is_empty() != demand.open.is_none(), "a proof or something to do, not both: {}", demand.says);
        for proof in &demand.proof {
            if let Some((file, function)) = proof.split_once(": ") {
                let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(text.contains(&format!("fn {function}(")), "{proof} is no test");
            } else {
                let file = root.join(format!("cases/{proof}.case"));
                let case = Case::read(&file).unwrap_or_else(|failure| panic!("{failure}"));
                assert!(!case.steps.is_empty(), "{proof}");
            }
        }
        if demand.proof.is_empty() { open += 1 } else { shown += 1 }
    }
    println!("OpenID Connect: {} demands, {shown} with a proof, {open} still open", demands.len());
    for demand in demands.iter().filter(|demand| demand.open.is_some()) {
        println!("  open: {} ({})", demand.says, demand.open.as_deref().unwrap_or_default());
    }
}
