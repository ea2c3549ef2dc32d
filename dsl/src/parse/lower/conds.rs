//! Conditions. The grammar has one rule for conditions and values; here it is read as a condition.

use pest::iterators::Pairs;

use super::items::unreachable_rule;
use super::{Lower, Node, Rule, only};
use crate::ast::{BinaryOp, Bounds, Comparison, Cond, ExprKind, Multi, Predicate};
use crate::codes;
use crate::parse::MAX_CHAIN;
use crate::span::{Span, Spanned};

impl Lower<'_> {
    /// Comparisons and operators: `and` before `or`. Or a single operand.
    pub fn cond(&mut self, node: Node<'_>) -> Option<Cond> {
        let mut inner = node.into_inner();
        if inner.len() == 1 {
            return inner.next().and_then(|only| self.operand(only));
        }
        let (mut whole, mut chain) = (Vec::new(), Vec::new());
        for child in inner {
            match child.as_rule() {
                Rule::and_op => self.word_operator(&child, "and"),
                Rule::or_op => {
                    self.word_operator(&child, "or");
                    whole.push(joined(std::mem::take(&mut chain), Cond::And));
                }
                _ => chain.push(self.operand(child)),
            }
        }
        whole.push(joined(chain, Cond::And));
        joined(whole, Cond::Or)
    }

    fn operand(&mut self, node: Node<'_>) -> Option<Cond> {
        if node.as_rule() == Rule::comparison { self.comparison(node) } else { self.lone_condition(node) }
    }

    /// `and`, `or`, `not`, in the right spelling.
    fn word_operator(&mut self, node: &Node<'_>, word: &str) {
        let text = node.as_str();
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.spelling(node, word);
        } else {
            let span = self.span(node);
            self.error(codes::OPERATOR_SIGNS, format!("there is no operator `{text}`"), span, format!("write `{word}`"));
        }
    }

    /// A comparison, with each `not` before it.
    fn comparison(&mut self, node: Node<'_>) -> Option<Cond> {
        let whole = self.span(&node);
        let mut inner = node.into_inner();
        let mut nots = 0;
        while let Some(not) = inner.peek().filter(|child| child.as_rule() == Rule::not_op) {
            self.word_operator(&not, "not");
            inner.next();
            nots += 1;
        }
        let start = inner.peek().map_or(whole.start, |first| self.span(&first).start);
        let cond = self.positive(inner, Span { start, ..whole });
        if nots > MAX_CHAIN {
            self.error(codes::TOO_DEEP, format!("more than {MAX_CHAIN} `not` in a row"), whole, "two of them cancel out");
            return None;
        }
        (0..nots).fold(cond, |cond, _| cond.map(|cond| Cond::Not(Box::new(cond))))
    }

    /// A comparison without the `not` before it.
    fn positive(&mut self, inner: Pairs<'_, Rule>, whole: Span) -> Option<Cond> {
        let (mut mode, mut sum, mut left, mut ty, mut ignore_case) = (None, None, None, None, false);
        let mut predicate: Option<Option<Predicate>> = None;
        let mut negated = false;
        for child in inner {
            match child.as_rule() {
                Rule::mode => mode = self.mode(&child),
                Rule::sum => sum = Some(child),
                Rule::as_type => {
                    let word = self.part(child)?;
                    ty = Some(self.ty(&word));
                }
                Rule::negated => {
                    self.words(child);
                    negated = true;
                }
                Rule::ignoring => {
                    self.words(child);
                    ignore_case = true;
                }
                _ => {
                    left = sum.take().and_then(|sum| self.sum(sum));
                    predicate = Some(self.predicate(child));
                }
            }
        }
        let Some(predicate) = predicate else {
            if mode.is_some() || ty.is_some() || ignore_case {
                let help = "compare it: `== …`, `is empty`, `contains …`, `in […]`";
                self.error(codes::NOT_A_CONDITION, "this comparison has nothing to compare with", whole, help);
                return None;
            }
            return self.lone_condition(sum?);
        };
        let ty = match ty {
            Some(None) => return None,
            Some(ty) => ty,
            None => None,
        };
        let span = Spanned::new((), whole);
        let compare = Comparison { mode: mode.unwrap_or(Multi::All), left: left?, ty, predicate: predicate?, ignore_case, span };
        let cond = Cond::Compare(Box::new(compare));
        Some(if negated { Cond::Not(Box::new(cond)) } else { cond })
    }

    fn mode(&mut self, node: &Node<'_>) -> Option<Multi> {
        let lower = node.as_str().to_ascii_lowercase();
        self.spelling(node, &lower);
        match lower.as_str() {
            "all" => Some(Multi::All),
            "any" => Some(Multi::Any),
            "first" => Some(Multi::First),
            "last" => Some(Multi::Last),
            "single" => Some(Multi::Single),
            _ => None,
        }
    }

    /// A condition without a predicate: a call, or something in parentheses.
    fn lone_condition(&mut self, sum: Node<'_>) -> Option<Cond> {
        let span = self.span(&sum);
        let operand = if sum.as_rule() == Rule::sum { only(&sum) } else { None };
        match operand {
            Some(node) if node.as_rule() == Rule::paren => {
                let inner = self.part(node)?;
                self.cond(inner).map(|cond| Cond::Group(Box::new(cond)))
            }
            Some(node) if node.as_rule() == Rule::call && self.is_assertion(&node) => {
                self.assertion_call(node).map(|call| Cond::Call(Box::new(call)))
            }
            Some(node) if node.as_rule() == Rule::bare_word => {
                self.bare_condition(&node);
                None
            }
            _ => {
                let said = self.out.len();
                let value = self.sum(sum)?;
                if self.out.len() == said {
                    // The resolver, which knows what sets the variable, checks that it is true or false.
                    if matches!(&*value.kind, ExprKind::Var(var) if var.path.is_empty() && var.delimiter.is_none()) {
                        return Some(Cond::Truth(value));
                    }
                    let text = self.text[span.start as usize..span.end as usize].trim();
                    let help = match &*value.kind {
                        ExprKind::Bool(true) => "write `Continue`, which always succeeds".to_owned(),
                        ExprKind::Bool(false) => "write `Stop`, which always fails".to_owned(),
                        ExprKind::Var(_) => format!("write `{text} is not empty`"),
                        _ => "compare it: `== …`, `is empty`, `contains …`, `in […]`".to_owned(),
                    };
                    self.error(codes::NOT_A_CONDITION, "a value alone is not a condition", span, help);
                }
                None
            }
        }
    }

    /// A word that stands where a condition should.
    fn bare_condition(&mut self, node: &Node<'_>) {
        let word = node.as_str();
        let span = self.span(node);
        if word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.contains(['.', '-']) {
            self.error(codes::MISSING_PARENTHESES, format!("`{word}` lacks its parentheses"), span, format!("write `{word}()`"));
        } else {
            self.bare_word(node);
        }
    }

    fn predicate(&mut self, node: Node<'_>) -> Option<Predicate> {
        let rule = node.as_rule();
        if rule == Rule::compare {
            return self.compare(node);
        }
        let span = self.span(&node);
        let operand = self.part(node);
        let make = match rule {
            Rule::empty => return Some(Predicate::Empty),
            Rule::not_empty => return Some(Predicate::NotEmpty),
            Rule::length => return self.bounds(operand?, span).map(Predicate::Length),
            Rule::count => return self.bounds(operand?, span).map(Predicate::Count),
            Rule::contains => Predicate::Contains,
            Rule::contains_all => Predicate::ContainsAll,
            Rule::contains_any => Predicate::ContainsAny,
            Rule::one_of => Predicate::In,
            Rule::matches => Predicate::Matches,
            Rule::starts_with => Predicate::StartsWith,
            Rule::ends_with => Predicate::EndsWith,
            rule => {
                unreachable_rule(rule);
                return None;
            }
        };
        self.sum(operand?).map(make)
    }

    fn compare(&mut self, node: Node<'_>) -> Option<Predicate> {
        let (mut op, mut right) = (None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::compare_op => op = self.compare_op(&child),
                _ => right = self.sum(child),
            }
        }
        Some(Predicate::Binary(op?, right?))
    }

    fn compare_op(&mut self, node: &Node<'_>) -> Option<BinaryOp> {
        let text = node.as_str();
        let help = match text {
            "==" => return Some(BinaryOp::Eq),
            "!=" => return Some(BinaryOp::Ne),
            "<" => return Some(BinaryOp::Lt),
            "<=" => return Some(BinaryOp::Le),
            ">" => return Some(BinaryOp::Gt),
            ">=" => return Some(BinaryOp::Ge),
            "=" | "===" => "write `==`",
            "!==" | "<>" => "write `!=`",
            "=>" => "write `>=`",
            "=<" => "write `<=`",
            "=~" => "write `matches r\"…\"`",
            _ => "comparisons are `==`, `!=`, `<`, `<=`, `>` and `>=`",
        };
        let span = self.span(node);
        self.error(codes::WRONG_OPERATOR, format!("`{text}` does not compare"), span, help);
        None
    }

    fn bounds(&mut self, node: Node<'_>, span: Span) -> Option<Bounds> {
        let text = node.as_str().trim();
        let (min, max) = match text.split_once("..") {
            Some((min, max)) => (min, max),
            None => (text, text),
        };
        let number = |digits: &str| if digits.is_empty() { Some(None) } else { digits.parse::<u64>().ok().map(Some) };
        match (number(min), number(max)) {
            (Some(min), Some(max)) if min.zip(max).is_none_or(|(min, max)| min <= max) => Some(Bounds { min, max }),
            (Some(_), Some(_)) => {
                self.error(codes::BAD_BOUNDS, format!("no value is within `{text}`"), span, "write the smaller bound first");
                None
            }
            _ => {
                self.error(
                    codes::NUMBER_RANGE,
                    format!("a number in `{text}` is too large"),
                    span,
                    "write a smaller one, or leave it out",
                );
                None
            }
        }
    }
}

/// Several conditions as one; `None` if one of them could not be read.
fn joined(conds: Vec<Option<Cond>>, join: fn(Vec<Cond>) -> Cond) -> Option<Cond> {
    let mut conds = conds.into_iter().collect::<Option<Vec<Cond>>>()?;
    if conds.len() == 1 { conds.pop() } else { Some(join(conds)) }
}
