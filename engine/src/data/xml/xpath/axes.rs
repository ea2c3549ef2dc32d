//! Steps of a location path: axes, node tests, predicates (XPath 1.0, sections 2.2 to 2.4).

use std::collections::BTreeMap;

use roxmltree::NodeType;
use xpath_eval::{Axis, NodeTest, Step};

use super::evaluate::{At, Evaluator, Value, Wrong};
use crate::data::xml::tree::Node;

/// A node test whose prefix is resolved.
pub(super) enum Test<'t> {
    Node,
    Text,
    Comment,
    Instruction(Option<&'t str>),
    Any,
    Namespace(&'t str),
    Name(Option<&'t str>, &'t str),
}

impl<'t> Test<'t> {
    pub(super) fn new(test: &'t NodeTest, namespaces: &'t BTreeMap<String, String>) -> Result<Test<'t>, Wrong> {
        let uri = |prefix: &str| match prefix {
            "xml" => Ok("http://www.w3.org/XML/1998/namespace"),
            prefix => namespaces.get(prefix).map(String::as_str).ok_or("a prefix of the expression has no namespace"),
        };
        Ok(match test {
            NodeTest::Node => Test::Node,
            NodeTest::Text => Test::Text,
            NodeTest::Comment => Test::Comment,
            NodeTest::ProcessingInstruction(target) => Test::Instruction(target.as_deref()),
            NodeTest::AnyName => Test::Any,
            NodeTest::NamespaceWildcard(prefix) => Test::Namespace(uri(prefix)?),
            NodeTest::QName(name) => Test::Name(name.prefix.as_deref().map(uri).transpose()?, &name.local),
        })
    }

    pub(super) fn passes(&self, axis: Axis, node: Node<'_>) -> bool {
        // A name test matches only the principal node kind of the axis.
        let principal = match (axis, node) {
            (Axis::Attribute, Node::Attribute(..)) | (Axis::Namespace, Node::Namespace(..)) => true,
            (Axis::Attribute | Axis::Namespace, _) => false,
            (_, Node::Tree(node)) => node.is_element(),
            _ => false,
        };
        let kind = |kind: NodeType| matches!(node, Node::Tree(node) if node.node_type() == kind);
        match self {
            Test::Node => true,
            Test::Text => kind(NodeType::Text),
            Test::Comment => kind(NodeType::Comment),
            Test::Instruction(None) => kind(NodeType::PI),
            Test::Instruction(target) => kind(NodeType::PI) && node.name().map(|(_, name)| name) == *target,
            Test::Any => principal,
            Test::Namespace(uri) => principal && node.name().is_some_and(|(own, _)| own == Some(*uri)),
            Test::Name(uri, local) => principal && node.name() == Some((*uri, *local)),
        }
    }
}

impl<'a> Evaluator<'a, '_> {
    /// The nodes that a path's steps reach from some nodes, in document order.
    pub(super) fn steps(&self, steps: &[Step], mut nodes: Vec<Node<'a>>) -> Result<Vec<Node<'a>>, Wrong> {
        for step in steps {
            let test = Test::new(&step.node_test, self.namespaces)?;
            let mut found = Vec::new();
            for node in nodes {
                let mut candidates = Vec::new();
                self.axis(step.axis, node, &mut |node| {
                    self.budget.spend(1)?;
                    if test.passes(step.axis, node) {
                        candidates.push(node);
                    }
                    Ok(())
                })?;
                for predicate in &step.predicates {
                    candidates = self.filter(candidates, predicate)?;
                }
                found.append(&mut candidates);
            }
            nodes = self.sorted(found)?;
        }
        Ok(nodes)
    }

    /// The nodes that satisfy a predicate, in the order of their positions.
    pub(super) fn filter(&self, nodes: Vec<Node<'a>>, predicate: &xpath_eval::Expr) -> Result<Vec<Node<'a>>, Wrong> {
        let size = nodes.len();
        let mut kept = Vec::new();
        for (before, node) in nodes.into_iter().enumerate() {
            let position = before + 1;
            let holds = match self.value(predicate, At { node, position, size })? {
                Value::Number(number) => number == position as f64,
                value => value.truth(),
            };
            if holds {
                kept.push(node);
            }
        }
        Ok(kept)
    }

    /// In document order, each once.
    pub(in crate::data::xml) fn sorted(&self, mut nodes: Vec<Node<'a>>) -> Result<Vec<Node<'a>>, Wrong> {
        self.budget.spend(nodes.len() as u64)?;
        nodes.sort_unstable_by_key(|node| node.place());
        nodes.dedup_by_key(|node| node.place());
        Ok(nodes)
    }

    /// Every node of an axis, the nearest first.
    fn axis(&self, axis: Axis, node: Node<'a>, see: &mut dyn FnMut(Node<'a>) -> Result<(), Wrong>) -> Result<(), Wrong> {
        let tree = if let Node::Tree(node) = node { Some(node) } else { None };
        let mut all = |nodes: &mut dyn Iterator<Item = Node<'a>>| {
            for node in nodes {
                see(node)?;
            }
            Ok(())
        };
        let ancestors = |from: Option<Node<'a>>| std::iter::successors(from, |node| node.parent());
        match axis {
            Axis::SelfAxis => all(&mut std::iter::once(node)),
            Axis::Parent => all(&mut node.parent().into_iter()),
            Axis::Ancestor => all(&mut ancestors(node.parent())),
            Axis::AncestorOrSelf => all(&mut ancestors(Some(node))),
            Axis::Attribute => all(&mut node.attributes()),
            Axis::Namespace => all(&mut node.namespaces()),
            Axis::Child => all(&mut tree.into_iter().flat_map(|node| node.children()).map(Node::Tree)),
            Axis::Descendant => all(&mut tree.into_iter().flat_map(|node| node.descendants().skip(1)).map(Node::Tree)),
            Axis::DescendantOrSelf => match tree {
                Some(tree) => all(&mut tree.descendants().map(Node::Tree)),
                None => all(&mut std::iter::once(node)),
            },
            Axis::FollowingSibling => all(&mut tree.into_iter().flat_map(|node| node.next_siblings().skip(1)).map(Node::Tree)),
            Axis::PrecedingSibling => all(&mut tree.into_iter().flat_map(|node| node.prev_siblings().skip(1)).map(Node::Tree)),
            Axis::Following => {
                // The contents of the element follow its attributes.
                let inside = if tree.is_none() { Some(node.owner()) } else { None };
                all(&mut inside.into_iter().flat_map(|node| node.descendants().skip(1)).map(Node::Tree))?;
                let later = node.owner().ancestors().flat_map(|node| node.next_siblings().skip(1));
                all(&mut later.flat_map(|node| node.descendants()).map(Node::Tree))
            }
            Axis::Preceding => {
                let earlier = node.owner().ancestors().flat_map(|node| node.prev_siblings().skip(1));
                for sibling in earlier {
                    // The tree only walks forwards, so the result is reversed.
                    let mut nodes = Vec::new();
                    for node in sibling.descendants() {
                        self.budget.spend(1)?;
                        nodes.push(Node::Tree(node));
                    }
                    all(&mut nodes.into_iter().rev())?;
                }
                Ok(())
            }
        }
    }
}
