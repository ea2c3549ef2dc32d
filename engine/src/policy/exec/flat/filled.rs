//! Which variables may have been set at each node. All others are undefined, as they are when a run begins.

use super::graph::{Act, Graph, Node};
use super::live::Set;

/// What may have been set when each node has run.
pub struct Filled(Vec<Set>);

/// Finds it for all nodes.
pub fn filled(graph: &Graph) -> Filled {
    let mut all = Set::new(graph.slots);
    (0..graph.slots).for_each(|place| all.add(place));
    let mut given = Set::new(graph.slots);
    graph.given.iter().for_each(|place| given.add(*place));
    let mut filled = Filled(vec![Set::new(graph.slots); graph.nodes.len()]);
    // A fault leads there from anywhere.
    let anywhere = graph.nodes.iter().filter_map(|node| node.handler).chain(graph.tail).map(|node| (node, &all));
    let mut ways: Vec<(usize, Set)> = anywhere.chain([(graph.entry, &given)]).map(|(node, set)| (node, set.clone())).collect();
    let mut seen = vec![false; graph.nodes.len()];
    while let Some((id, before)) = ways.pop() {
        let (Some(node), Some(known), Some(seen)) = (graph.nodes.get(id), filled.0.get_mut(id), seen.get_mut(id)) else {
            continue;
        };
        let mut after = before;
        sets(node, &mut after);
        after.extend(known);
        if std::mem::replace(seen, true) && after == *known {
            continue;
        }
        ways.extend([node.ok, node.no, node.skip].into_iter().flatten().map(|to| (to, after.clone())));
        *known = after;
    }
    filled
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
        self.0.get(node).is_none_or(|set| set.has(place))
    }
}
