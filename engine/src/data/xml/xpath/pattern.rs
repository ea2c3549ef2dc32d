//! Patterns: which nodes a template or a key is for (XSLT 1.0, section 5.2); and what an expression names.

use xpath_eval::{Axis, Expr, FilterExpr, FunctionCall, LocationPath, NodeTest, PathExpr, PrimaryExpr, QName, Step};

use super::axes::Test;
use super::evaluate::{Evaluator, Wrong};
use crate::data::xml::tree::Node;

/// The alternatives of a pattern; `None` if the expression is none.
pub(in crate::data::xml) fn alternatives(expr: &Expr) -> Option<Vec<&LocationPath>> {
    match expr {
        Expr::Union(left, right) => {
            let mut all = alternatives(left)?;
            all.append(&mut alternatives(right)?);
            Some(all)
        }
        Expr::Path(PathExpr::Location(path)) if path.steps.iter().all(in_pattern) => Some(vec![path]),
        _ => None,
    }
}

fn in_pattern(step: &Step) -> bool {
    matches!(step.axis, Axis::Child | Axis::Attribute) || is_gap(step)
}

/// What `//` stands for.
fn is_gap(step: &Step) -> bool {
    step.axis == Axis::DescendantOrSelf && step.node_test == NodeTest::Node && step.predicates.is_empty()
}

/// How much a pattern says of a node (XSLT 1.0, section 5.5).
pub(in crate::data::xml) fn priority(path: &LocationPath) -> f64 {
    match &path.steps[..] {
        [step] if !path.is_absolute && step.predicates.is_empty() => match &step.node_test {
            NodeTest::QName(_) | NodeTest::ProcessingInstruction(Some(_)) => 0.0,
            NodeTest::NamespaceWildcard(_) => -0.25,
            _ => -0.5,
        },
        _ => 0.5,
    }
}

impl<'a> Evaluator<'a, '_> {
    /// Whether a node is one that a pattern is for.
    pub(in crate::data::xml) fn matches(&self, path: &LocationPath, node: Node<'a>) -> Result<bool, Wrong> {
        let at_root = |node: Node<'a>| node.parent().is_none();
        let Some((last, before)) = path.steps.split_last() else { return Ok(path.is_absolute && at_root(node)) };
        if is_gap(last) || !self.is_at(last, node)? {
            return Ok(false);
        }
        let Some(parent) = node.parent() else { return Ok(false) };
        self.leads(before, path.is_absolute, parent)
    }

    /// Whether steps lead to a node.
    fn leads(&self, steps: &[Step], absolute: bool, node: Node<'a>) -> Result<bool, Wrong> {
        self.budget.spend(1)?;
        let Some((last, before)) = steps.split_last() else { return Ok(!absolute || node.parent().is_none()) };
        if is_gap(last) {
            let mut at = Some(node);
            while let Some(node) = at {
                if self.leads(before, absolute, node)? {
                    return Ok(true);
                }
                at = node.parent();
            }
            return Ok(false);
        }
        match node.parent() {
            Some(parent) => Ok(self.is_at(last, node)? && self.leads(before, absolute, parent)?),
            None => Ok(false),
        }
    }

    /// Whether a step from its parent leads to a node.
    fn is_at(&self, step: &Step, node: Node<'a>) -> Result<bool, Wrong> {
        self.budget.spend(1)?;
        let test = Test::new(&step.node_test, self.namespaces)?;
        let child = matches!(node, Node::Tree(_));
        if child != (step.axis == Axis::Child) || matches!(node, Node::Namespace(..)) || !test.passes(step.axis, node) {
            return Ok(false);
        }
        let Some(parent) = node.parent() else { return Ok(false) };
        if step.predicates.is_empty() {
            return Ok(true);
        }
        let found = self.steps(std::slice::from_ref(step), vec![parent])?;
        Ok(found.iter().any(|found| found.place() == node.place()))
    }
}

/// What an expression names.
pub(in crate::data::xml) enum Named<'e> {
    /// A variable.
    Variable(&'e QName),
    /// A function, with its arguments.
    Function(&'e FunctionCall),
    /// A prefix of a node test.
    Prefix(&'e str),
}

/// Shows everything that an expression names.
pub(in crate::data::xml) fn names<'e>(expr: &'e Expr, see: &mut dyn FnMut(Named<'e>)) {
    match expr {
        Expr::Or(left, right)
        | Expr::And(left, right)
        | Expr::Equality(left, _, right)
        | Expr::Relational(left, _, right)
        | Expr::Additive(left, _, right)
        | Expr::Multiplicative(left, _, right)
        | Expr::Union(left, right) => {
            names(left, see);
            names(right, see);
        }
        Expr::Negate(inner) => names(inner, see),
        Expr::Path(PathExpr::Location(path)) => in_steps(&path.steps, see),
        Expr::Path(PathExpr::Filter(filter)) => in_filter(filter, see),
        Expr::Path(PathExpr::FilterLocation(filter, path)) => {
            in_filter(filter, see);
            in_steps(&path.steps, see);
        }
    }
}

fn in_steps<'e>(steps: &'e [Step], see: &mut dyn FnMut(Named<'e>)) {
    for step in steps {
        match &step.node_test {
            NodeTest::NamespaceWildcard(prefix) => see(Named::Prefix(prefix)),
            NodeTest::QName(QName { prefix: Some(prefix), .. }) => see(Named::Prefix(prefix)),
            _ => {}
        }
        step.predicates.iter().for_each(|predicate| names(predicate, see));
    }
}

fn in_filter<'e>(filter: &'e FilterExpr, see: &mut dyn FnMut(Named<'e>)) {
    match &filter.primary {
        PrimaryExpr::Variable(name) => see(Named::Variable(name)),
        PrimaryExpr::Parenthesized(inner) => names(inner, see),
        PrimaryExpr::Function(call) => {
            see(Named::Function(call));
            call.args.iter().for_each(|arg| names(arg, see));
        }
        PrimaryExpr::Literal(_) | PrimaryExpr::Number(_) => {}
    }
    filter.predicates.iter().for_each(|predicate| names(predicate, see));
}
