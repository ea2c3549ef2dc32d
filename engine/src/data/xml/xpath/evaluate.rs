//! Evaluates expressions (XPath 1.0, sections 2 and 3). Each visited node and each text spends the budget. A comparison of
//! node-sets takes one pass over each.

use std::collections::{BTreeMap, HashSet};

use xpath_eval::{
    AdditiveOp, EqualityOp, Expr, FilterExpr, FunctionCall, LocationPath, MultiplicativeOp, PathExpr, PrimaryExpr, QName,
    RelationalOp,
};

use super::functions;
use crate::data::budget::{Budget, Exhausted};
use crate::data::xml::tree::Node;

/// Why an expression has no result. For logs.
pub(in crate::data::xml) type Wrong = &'static str;

impl From<Exhausted> for Wrong {
    fn from(exhausted: Exhausted) -> Wrong {
        exhausted.reason()
    }
}

/// The result of an expression.
#[derive(Clone)]
pub(in crate::data::xml) enum Value<'a> {
    Nodes(Vec<Node<'a>>),
    Boolean(bool),
    Number(f64),
    Text(String),
}

impl Value<'_> {
    pub(in crate::data::xml) fn truth(&self) -> bool {
        match self {
            Value::Nodes(nodes) => !nodes.is_empty(),
            Value::Boolean(truth) => *truth,
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::Text(text) => !text.is_empty(),
        }
    }
}

/// The context of an evaluation: a node, its position and the number of nodes.
#[derive(Clone, Copy)]
pub(in crate::data::xml) struct At<'a> {
    pub(in crate::data::xml) node: Node<'a>,
    pub(in crate::data::xml) position: usize,
    pub(in crate::data::xml) size: usize,
}

pub(in crate::data::xml) struct Evaluator<'a, 'e> {
    pub(in crate::data::xml) root: Node<'a>,
    pub(in crate::data::xml) namespaces: &'e BTreeMap<String, String>,
    pub(in crate::data::xml) scope: &'e dyn Scope<'a>,
    pub(in crate::data::xml) budget: &'e Budget,
}

/// What an expression can read beside its document.
pub(in crate::data::xml) trait Scope<'a> {
    /// A variable; `None` if there is none of this name.
    fn variable(&self, name: &str) -> Option<Value<'a>>;

    /// Calls a function that XPath itself does not have; `None` if there is none of this name.
    fn call(&self, _all: &Evaluator<'a, '_>, _call: &FunctionCall, _at: At<'a>) -> Option<Result<Value<'a>, Wrong>> {
        None
    }
}

/// Texts by name.
impl<'a> Scope<'a> for BTreeMap<String, String> {
    fn variable(&self, name: &str) -> Option<Value<'a>> {
        self.get(name).cloned().map(Value::Text)
    }
}

impl<'a> Evaluator<'a, '_> {
    pub(in crate::data::xml) fn value(&self, expr: &Expr, at: At<'a>) -> Result<Value<'a>, Wrong> {
        self.budget.spend(1)?;
        Ok(match expr {
            Expr::Or(left, right) => Value::Boolean(self.value(left, at)?.truth() || self.value(right, at)?.truth()),
            Expr::And(left, right) => Value::Boolean(self.value(left, at)?.truth() && self.value(right, at)?.truth()),
            Expr::Equality(left, op, right) => {
                Value::Boolean(self.equal(self.value(left, at)?, *op == EqualityOp::Eq, self.value(right, at)?)?)
            }
            Expr::Relational(left, op, right) => {
                Value::Boolean(self.ordered(self.value(left, at)?, *op, self.value(right, at)?)?)
            }
            Expr::Additive(left, op, right) => {
                let (left, right) = (self.number(self.value(left, at)?)?, self.number(self.value(right, at)?)?);
                Value::Number(if *op == AdditiveOp::Add { left + right } else { left - right })
            }
            Expr::Multiplicative(left, op, right) => {
                let (left, right) = (self.number(self.value(left, at)?)?, self.number(self.value(right, at)?)?);
                Value::Number(match op {
                    MultiplicativeOp::Mul => left * right,
                    MultiplicativeOp::Div => left / right,
                    MultiplicativeOp::Mod => left % right,
                })
            }
            Expr::Negate(inner) => Value::Number(-self.number(self.value(inner, at)?)?),
            Expr::Union(left, right) => {
                let mut nodes = self.nodes(self.value(left, at)?)?;
                nodes.append(&mut self.nodes(self.value(right, at)?)?);
                Value::Nodes(self.sorted(nodes)?)
            }
            Expr::Path(PathExpr::Location(path)) => Value::Nodes(self.location(path, at)?),
            Expr::Path(PathExpr::Filter(filter)) => self.filtered(filter, at)?,
            Expr::Path(PathExpr::FilterLocation(filter, path)) => {
                let nodes = self.nodes(self.filtered(filter, at)?)?;
                Value::Nodes(self.steps(&path.steps, nodes)?)
            }
        })
    }

    fn location(&self, path: &LocationPath, at: At<'a>) -> Result<Vec<Node<'a>>, Wrong> {
        self.steps(&path.steps, vec![if path.is_absolute { self.root } else { at.node }])
    }

    fn filtered(&self, filter: &FilterExpr, at: At<'a>) -> Result<Value<'a>, Wrong> {
        let value = match &filter.primary {
            PrimaryExpr::Variable(name) => self.variable(name)?,
            PrimaryExpr::Parenthesized(inner) => self.value(inner, at)?,
            PrimaryExpr::Literal(text) => Value::Text(text.clone()),
            PrimaryExpr::Number(number) => Value::Number(*number),
            PrimaryExpr::Function(call) => functions::call(self, call, at)?,
        };
        if filter.predicates.is_empty() {
            return Ok(value);
        }
        let mut nodes = self.nodes(value)?;
        for predicate in &filter.predicates {
            nodes = self.filter(nodes, predicate)?;
        }
        Ok(Value::Nodes(nodes))
    }

    fn variable(&self, name: &QName) -> Result<Value<'a>, Wrong> {
        let value = match &name.prefix {
            Some(prefix) => self.scope.variable(&format!("{prefix}:{}", name.local)),
            None => self.scope.variable(&name.local),
        };
        let value = value.ok_or("the expression uses a variable that is not given")?;
        match &value {
            Value::Nodes(nodes) => self.budget.spend(nodes.len() as u64)?,
            Value::Text(text) => self.budget.produce(text.len())?,
            Value::Boolean(_) | Value::Number(_) => {}
        }
        Ok(value)
    }

    /// As nodes, in document order.
    pub(in crate::data::xml) fn nodes(&self, value: Value<'a>) -> Result<Vec<Node<'a>>, Wrong> {
        match value {
            Value::Nodes(nodes) => Ok(nodes),
            _ => Err("the expression has another value where nodes must be"),
        }
    }

    /// As text (XPath 1.0, section 4.2): for nodes, that of the first.
    pub(in crate::data::xml) fn text(&self, value: Value<'a>) -> Result<String, Wrong> {
        Ok(match value {
            Value::Nodes(nodes) => match nodes.first() {
                Some(node) => node.text(self.budget)?,
                None => String::new(),
            },
            Value::Boolean(truth) => truth.to_string(),
            Value::Number(number) if number.is_infinite() => if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
            Value::Number(0.0) => "0".to_owned(),
            // Neither an exponent nor a trailing `.0`, as section 4.2 requires.
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        })
    }

    /// As a number (XPath 1.0, section 4.4).
    pub(in crate::data::xml) fn number(&self, value: Value<'a>) -> Result<f64, Wrong> {
        Ok(match value {
            Value::Number(number) => number,
            Value::Boolean(truth) => f64::from(u8::from(truth)),
            other => number(&self.text(other)?),
        })
    }

    /// The texts of all nodes.
    fn texts(&self, nodes: &[Node<'a>]) -> Result<Vec<String>, Wrong> {
        nodes.iter().map(|node| Ok(node.text(self.budget)?)).collect()
    }

    /// `=` or `!=` (XPath 1.0, section 3.4): for nodes, whether any pair is.
    fn equal(&self, left: Value<'a>, same: bool, right: Value<'a>) -> Result<bool, Wrong> {
        use Value as V;
        Ok(match (left, right) {
            (V::Boolean(truth), other) | (other, V::Boolean(truth)) => (truth == other.truth()) == same,
            (V::Nodes(left), V::Nodes(right)) => {
                let (left, right) = (self.texts(&left)?, self.texts(&right)?);
                if same {
                    let left: HashSet<&String> = left.iter().collect();
                    right.iter().any(|text| left.contains(text))
                } else {
                    // Some pair differs unless all texts are the same.
                    let mut all = left.iter().chain(&right);
                    let first = all.next();
                    !left.is_empty() && !right.is_empty() && all.any(|text| Some(text) != first)
                }
            }
            (V::Nodes(nodes), V::Number(wanted)) | (V::Number(wanted), V::Nodes(nodes)) => {
                self.texts(&nodes)?.iter().any(|text| (number(text) == wanted) == same)
            }
            (V::Nodes(nodes), V::Text(wanted)) | (V::Text(wanted), V::Nodes(nodes)) => {
                self.texts(&nodes)?.iter().any(|text| (*text == wanted) == same)
            }
            (V::Number(number), other) | (other, V::Number(number)) => (self.number(other)? == number) == same,
            (V::Text(left), V::Text(right)) => (left == right) == same,
        })
    }

    /// `<`, `<=`, `>`, `>=`: for nodes, whether any pair is. The extremes decide that.
    fn ordered(&self, left: Value<'a>, op: RelationalOp, right: Value<'a>) -> Result<bool, Wrong> {
        let (low, high) = (self.range(left)?, self.range(right)?);
        let (Some((left_low, left_high)), Some((right_low, right_high))) = (low, high) else { return Ok(false) };
        Ok(match op {
            RelationalOp::Lt => left_low < right_high,
            RelationalOp::Le => left_low <= right_high,
            RelationalOp::Gt => left_high > right_low,
            RelationalOp::Ge => left_high >= right_low,
        })
    }

    /// The smallest and the greatest number of a value; `None` if it has none, because what is not a number compares with
    /// nothing.
    fn range(&self, value: Value<'a>) -> Result<Option<(f64, f64)>, Wrong> {
        let numbers = match value {
            Value::Nodes(nodes) => self.texts(&nodes)?.iter().map(|text| number(text)).collect(),
            other => vec![self.number(other)?],
        };
        let numbers = numbers.into_iter().filter(|number: &f64| !number.is_nan());
        Ok(numbers.fold(None, |range, number| match range {
            None => Some((number, number)),
            Some((low, high)) => Some((number.min(low), number.max(high))),
        }))
    }
}

/// A text as a number: blanks, perhaps a minus sign, digits with at most one point; anything else is not a number.
pub(in crate::data::xml) fn number(text: &str) -> f64 {
    let text = text.trim_matches(super::BLANKS);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && digits.bytes().any(|byte| byte.is_ascii_digit());
    if plain { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}
