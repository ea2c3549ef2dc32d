//! Compiled policy sets, shared by many gateways in one process: most test cases use the same one.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_dsl::Sources;

use crate::policy::site::Compiled;

/// Sets by their sources.
#[derive(Default)]
pub struct Prebuilt(Mutex<Vec<(Sources, Arc<Compiled>)>>);

/// How many sets are kept.
const KEPT: usize = 16;

impl Prebuilt {
    /// The set of these sources, compiled now if necessary.
    pub fn get(&self, sources: Sources) -> Arc<Compiled> {
        if let Some(found) = self.sets().iter().find(|(own, _)| same(own, &sources)).map(|(_, set)| Arc::clone(set)) {
            return found;
        }
        let set = Arc::new(Compiled::eager(sources.clone()));
        let mut sets = self.sets();
        if sets.len() < KEPT {
            sets.push((sources, Arc::clone(&set)));
        }
        set
    }

    fn sets(&self) -> std::sync::MutexGuard<'_, Vec<(Sources, Arc<Compiled>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Prebuilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} compiled sets", self.sets().len())
    }
}

fn same(a: &Sources, b: &Sources) -> bool {
    a.data == b.data
        && a.pictures == b.pictures
        && a.files.len() == b.files.len()
        && a.files.iter().zip(&b.files).all(|(a, b)| a.path == b.path && a.origin == b.origin && a.text == b.text)
}
