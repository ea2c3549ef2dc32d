//! Which variables may have been set at each node. All others are undefined, as they are when a run begins.

use super::graph::{Act, Graph, Node};
use super::live::Set;

/// What may have been set when each node has run. None: no way leads there.
pub struct Filled(Vec<Option<Set>>);

/// Finds it for all nodes.
pub fn filled(graph: &Graph) -> Filled {
    let mut all = Set::new(graph.slots);
    (0..graph.slots).for_each(|place| all.add(place));
    let mut given = Set::new(graph.slots);
    graph.given.iter().for_each(|place| given.add(*place));
    let mut filled = Filled(vec![None; graph.nodes.len()]);
    // What may have been set when a node begins.
    let mut before = filled.0.clone();
    add(&mut before, graph.entry, &given);
    // A fault leads there from anywhere.
    graph.nodes.iter().filter_map(|node| node.handler).chain(graph.tail).for_each(|node| {
        add(&mut before, node, &all);
    });
    // What is set earlier is mostly found first.
    let order = graph.in_order();
    loop {
        let mut more = false;
        for id in &order {
            let (Some(node), Some(Some(set))) = (graph.nodes.get(*id), before.get(*id)) else { continue };
            let mut after = set.clone();
            sets(node, &mut after);
            for to in [node.ok, node.no, node.skip].into_iter().flatten() {
                more |= add(&mut before, to, &after);
            }
            if let Some(known) = filled.0.get_mut(*id) {
                *known = Some(after);
            }
        }
        if !more {
            return filled;
        }
    }
}

/// These may have been set when a node begins. Whether that is more than was known.
fn add(before: &mut [Option<Set>], node: usize, set: &Set) -> bool {
    match before.get_mut(node) {
        Some(Some(known)) => known.extend(set),
        Some(unset) => {
            *unset = Some(set.clone());
            true
        }
        None => false,
    }
}

/// Adds what a node may set.
fn sets(node: &Node, set: &mut Set) {
    for step in &node.steps {
        let mut add = |slot: crate::policy::ctx::Slot| set.add(step.base + slot.0 as usize);
        match &step.act {
            Act::Values(values) => values.iter().filter(|(_, value)| !value.is_undefined()).for_each(|(slot, _)| add(*slot)),
            Act::Give(outputs) => outputs.iter().for_each(|(_, outer, _)| add(*outer)),
            Act::Failed(_) => {}
            Act::Op { sets, may_set, .. } => sets.iter().chain(may_set).for_each(|place| set.add(*place)),
        }
    }
}

impl Filled {
    /// Whether a variable may have been set before the end of a node.
    pub fn has(&self, node: usize, place: usize) -> bool {
        self.0.get(node).and_then(Option::as_ref).is_none_or(|set| set.has(place))
    }
}
