//! Expressions with what is known of their variables.

use std::cell::RefCell;
use std::sync::Arc;

use portcullis_dsl::ast::Type;

use super::state::State;
use crate::data::value::Value;
use crate::policy::assertion::Places;
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::exec::compare::{Compare, Condition, Test};
use crate::policy::expr::{Expr, JsonNode, Piece};
use crate::policy::vars::Accessor;

/// Evaluates what is known. What is left names variables by their places among those of all frames, and originals instead of their copies.
pub struct Fold<'a> {
    /// Its variables are those of a frame.
    ctx: &'a Ctx,
    /// Whether each of them is unknown.
    unknown: &'a [bool],
    state: &'a State,
    /// Where the frame begins.
    base: usize,
}

impl Fold<'_> {
    /// Folds with the variables of the frame that begins there.
    pub fn with<T>(ctx: &mut Ctx, state: &State, base: usize, fold: impl FnOnce(&Fold<'_>) -> T) -> T {
        let unknown: &[bool] = match state.frame(base) {
            Some(frame) => {
                ctx.slots.copy(&frame.values);
                &frame.unknown
            }
            None => &[],
        };
        fold(&Fold { ctx, unknown, state, base })
    }

    fn is_known(&self, slot: Slot) -> bool {
        self.unknown.get(slot.0 as usize) == Some(&false)
    }

    /// Where to read a variable, among those of all frames.
    fn place(&self, slot: Slot) -> Slot {
        let place = self.state.original(self.base + slot.0 as usize);
        u32::try_from(place).map_or(slot, Slot)
    }

    /// Where a variable is, among those of all frames.
    fn own_place(&self, slot: Slot) -> Slot {
        u32::try_from(self.base).map_or(slot, |base| Slot(base + slot.0))
    }

    /// The value, if it is known and the same in every run.
    pub fn value(&self, expr: &Expr) -> Option<Value> {
        self.knows(expr).then(|| expr.eval(self.ctx))
    }

    /// Whether a comparison is true, if that is known.
    pub fn holds(&self, compare: &Compare) -> Option<bool> {
        self.knows_compare(compare).then(|| compare.holds(self.ctx))
    }

    /// The expression, with known parts as constants.
    pub fn expr(&self, expr: &Expr) -> Expr {
        if let Some(value) = self.value(expr) {
            return Expr::Const(value);
        }
        match expr {
            Expr::Const(_) | Expr::Builtin(_) => expr.clone(),
            Expr::Slot(slot) => Expr::Slot(self.place(*slot)),
            Expr::Selected(slot, selector) => Expr::Selected(self.place(*slot), selector.clone()),
            Expr::Index(inner, index) => Expr::Index(Box::new(self.expr(inner)), *index),
            Expr::Joined(inner, delimiter) => Expr::Joined(Box::new(self.expr(inner)), delimiter.clone()),
            Expr::Member(inner, path) => Expr::Member(Box::new(self.expr(inner)), Arc::clone(path)),
            Expr::Text(pieces) => Expr::Text(pieces.iter().map(|piece| self.piece(piece, true)).collect()),
            Expr::Template(syntax, pieces) => {
                Expr::Template(*syntax, pieces.iter().map(|piece| self.piece(piece, false)).collect())
            }
            Expr::Json(node) => Expr::Json(Arc::new(self.node(node))),
            Expr::List(items) => Expr::List(items.iter().map(|item| self.expr(item)).collect()),
            Expr::Call(function, args) => Expr::Call(function, args.iter().map(|arg| self.expr(arg)).collect()),
            Expr::Either(both) => Expr::Either(Box::new((self.expr(&both.0), self.expr(&both.1)))),
            Expr::Arithmetic(op, both) => Expr::Arithmetic(*op, Box::new((self.expr(&both.0), self.expr(&both.1)))),
            Expr::Condition(condition) => Expr::Condition(Arc::new(self.condition(condition))),
        }
    }

    /// A piece of a text, or of a template, which escapes values.
    fn piece(&self, piece: &Piece, of_text: bool) -> Piece {
        match piece {
            Piece::Literal(text) => Piece::Literal(text.clone()),
            Piece::Value(expr) => match self.expr(expr) {
                Expr::Const(value) if of_text => Piece::Literal(value.to_text()),
                expr => Piece::Value(expr),
            },
            Piece::Address(expr, place) => Piece::Address(self.expr(expr), *place),
            Piece::Raw(expr) => Piece::Raw(self.expr(expr)),
        }
    }

    fn node(&self, node: &JsonNode) -> JsonNode {
        match node {
            JsonNode::Object(members) => JsonNode::Object(
                members
                    .iter()
                    .map(|(key, optional, node)| {
                        (key.iter().map(|piece| self.piece(piece, true)).collect(), *optional, self.node(node))
                    })
                    .collect(),
            ),
            JsonNode::Array(items) => JsonNode::Array(items.iter().map(|item| self.node(item)).collect()),
            JsonNode::Value(expr) => JsonNode::Value(self.expr(expr)),
            JsonNode::Null => JsonNode::Null,
        }
    }

    fn condition(&self, condition: &Condition) -> Condition {
        match condition {
            Condition::All(all) => Condition::All(all.iter().map(|condition| self.condition(condition)).collect()),
            Condition::Any(any) => Condition::Any(any.iter().map(|condition| self.condition(condition)).collect()),
            Condition::Test(compare) => Condition::Test(self.compare(compare)),
        }
    }

    /// A comparison, with known parts as constants.
    pub fn compare(&self, compare: &Compare) -> Compare {
        let test = match &compare.test {
            Test::Binary(op, right) => Test::Binary(*op, self.expr(right)),
            Test::Contains(right) => Test::Contains(self.expr(right)),
            Test::ContainsAll(right) => Test::ContainsAll(self.expr(right)),
            Test::ContainsAny(right) => Test::ContainsAny(self.expr(right)),
            Test::In(right) => Test::In(self.expr(right)),
            Test::MatchesText(right) => Test::MatchesText(self.expr(right)),
            Test::StartsWith(right) => Test::StartsWith(self.expr(right)),
            Test::EndsWith(right) => Test::EndsWith(self.expr(right)),
            same @ (Test::True | Test::Empty | Test::Matches(_) | Test::Length(_) | Test::Count(_)) => same.clone(),
        };
        Compare::new(compare.mode, self.expr(&compare.left), compare.ty, test)
            .negated(compare.negate)
            .ignoring_case(compare.ignore_case)
    }

    /// Whether an expression's value is known and the same in every run.
    fn knows(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Const(_) => true,
            Expr::Slot(slot) | Expr::Selected(slot, _) => self.is_known(*slot),
            Expr::Builtin(_) => false,
            Expr::Index(inner, _) | Expr::Joined(inner, _) | Expr::Member(inner, _) => self.knows(inner),
            Expr::Text(pieces) | Expr::Template(_, pieces) => pieces.iter().all(|piece| self.knows_piece(piece)),
            Expr::Json(node) => self.knows_node(node),
            Expr::List(items) => items.iter().all(|item| self.knows(item)),
            Expr::Call(function, args) => function.is_pure() && args.iter().all(|arg| self.knows(arg)),
            Expr::Either(both) | Expr::Arithmetic(_, both) => self.knows(&both.0) && self.knows(&both.1),
            Expr::Condition(condition) => self.knows_condition(condition),
        }
    }

    fn knows_piece(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Literal(_) => true,
            // An address that is left out of a page is logged each time.
            Piece::Address(..) => false,
            Piece::Value(expr) | Piece::Raw(expr) => self.knows(expr),
        }
    }

    fn knows_node(&self, node: &JsonNode) -> bool {
        match node {
            JsonNode::Object(members) => {
                members.iter().all(|(key, _, node)| key.iter().all(|piece| self.knows_piece(piece)) && self.knows_node(node))
            }
            JsonNode::Array(items) => items.iter().all(|item| self.knows_node(item)),
            JsonNode::Value(expr) => self.knows(expr),
            JsonNode::Null => true,
        }
    }

    fn knows_condition(&self, condition: &Condition) -> bool {
        match condition {
            Condition::All(all) | Condition::Any(all) => all.iter().all(|condition| self.knows_condition(condition)),
            Condition::Test(compare) => self.knows_compare(compare),
        }
    }

    fn knows_compare(&self, compare: &Compare) -> bool {
        self.knows(&compare.left) && compare.right().is_none_or(|right| self.knows(right))
    }
}

/// Folds what an assertion reads, and notes which variables these are and which ones it sets.
pub struct Placing<'a> {
    fold: &'a Fold<'a>,
    noted: RefCell<Noted>,
}

/// Variables of an instruction, by their places among those of all frames.
#[derive(Default)]
pub struct Noted {
    /// Those that it reads.
    pub reads: Vec<usize>,
    /// Those that it sets if it succeeds.
    pub sets: Vec<usize>,
    /// Those that it may set, whatever becomes of it.
    pub may_set: Vec<usize>,
}

impl<'a> Placing<'a> {
    /// What this makes of an assertion, and its variables.
    pub fn of<T>(fold: &'a Fold<'a>, make: impl FnOnce(&dyn Places) -> Option<T>) -> Option<(T, Noted)> {
        let placing = Placing { fold, noted: RefCell::default() };
        let made = make(&placing)?;
        Some((made, placing.noted.into_inner()))
    }
}

impl Places for Placing<'_> {
    fn expr(&self, expr: &Expr) -> Expr {
        let expr = self.fold.expr(expr);
        self.noted.borrow_mut().reads.append(&mut Needs::of(&expr).reads);
        expr
    }

    fn target(&self, slot: Slot) -> Slot {
        let slot = self.fold.own_place(slot);
        self.noted.borrow_mut().sets.push(slot.0 as usize);
        slot
    }

    fn variable(&self, slot: Slot) -> Slot {
        let slot = self.fold.own_place(slot);
        let noted = &mut *self.noted.borrow_mut();
        noted.reads.push(slot.0 as usize);
        noted.may_set.push(slot.0 as usize);
        slot
    }
}

/// What a folded expression needs of its surroundings.
#[derive(Default)]
pub struct Needs {
    /// Variables, by their places among those of all frames.
    pub reads: Vec<usize>,
    /// Whether evaluating it does more than giving a value.
    pub more: bool,
}

impl Needs {
    /// Of an expression.
    pub fn of(expr: &Expr) -> Needs {
        let mut needs = Needs::default();
        needs.expr(expr);
        needs
    }

    /// Of a comparison.
    pub fn of_compare(compare: &Compare) -> Needs {
        let mut needs = Needs::default();
        needs.compare(compare);
        needs
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(_) | Expr::Builtin(_) => {}
            Expr::Slot(slot) | Expr::Selected(slot, _) => self.reads.push(slot.0 as usize),
            Expr::Index(inner, _) | Expr::Joined(inner, _) | Expr::Member(inner, _) => self.expr(inner),
            Expr::Text(pieces) | Expr::Template(_, pieces) => pieces.iter().for_each(|piece| self.piece(piece)),
            Expr::Json(node) => self.node(node),
            Expr::List(items) | Expr::Call(_, items) => items.iter().for_each(|item| self.expr(item)),
            Expr::Either(both) | Expr::Arithmetic(_, both) => {
                self.expr(&both.0);
                self.expr(&both.1);
            }
            Expr::Condition(condition) => self.condition(condition),
        }
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Literal(_) => {}
            Piece::Value(expr) | Piece::Raw(expr) => self.expr(expr),
            Piece::Address(expr, _) => {
                self.more = true;
                self.expr(expr);
            }
        }
    }

    fn node(&mut self, node: &JsonNode) {
        match node {
            JsonNode::Object(members) => {
                for (key, _, node) in members {
                    key.iter().for_each(|piece| self.piece(piece));
                    self.node(node);
                }
            }
            JsonNode::Array(items) => items.iter().for_each(|item| self.node(item)),
            JsonNode::Value(expr) => self.expr(expr),
            JsonNode::Null => {}
        }
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::All(all) | Condition::Any(all) => all.iter().for_each(|condition| self.condition(condition)),
            Condition::Test(compare) => self.compare(compare),
        }
    }

    fn compare(&mut self, compare: &Compare) {
        self.expr(&compare.left);
        compare.right().into_iter().for_each(|right| self.expr(right));
    }
}

/// Whether a folded expression surely gives something.
pub fn is_defined(value: &Expr, state: &State) -> bool {
    match value {
        Expr::Const(value) => !value.is_undefined(),
        Expr::Slot(slot) => state.is_defined(slot.0 as usize),
        Expr::Builtin(Accessor::Text(_)) => true,
        Expr::Text(_) | Expr::Template(..) | Expr::Json(_) | Expr::List(_) | Expr::Condition(_) => true,
        Expr::Either(both) => is_defined(&both.0, state) || is_defined(&both.1, state),
        _ => false,
    }
}

/// The variable that is surely not undefined where this comparison is true; by its place.
pub fn shows_defined(compare: &Compare) -> Option<usize> {
    let Expr::Slot(slot) = &compare.left else { return None };
    let shown = match &compare.test {
        Test::Empty => compare.negate,
        Test::Count(bounds) => !compare.negate && bounds.min.is_some_and(|min| min > 0),
        _ => true,
    };
    shown.then_some(slot.0 as usize)
}

/// The variable that another one is a copy of once it has this value; by its place.
pub fn held(value: &Expr, ty: Option<Type>) -> Option<usize> {
    match value {
        Expr::Slot(slot) if ty.is_none() => Some(slot.0 as usize),
        _ => None,
    }
}

/// Whether an unknown value may not fit a type. Everything has a text, is a list, or can be the body of a message.
pub fn may_misfit(ty: Option<Type>) -> bool {
    !matches!(ty, None | Some(Type::String | Type::List | Type::Message))
}
