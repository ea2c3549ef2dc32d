//! Runs a stylesheet on a document: what is in force at a moment, expressions, variables, keys, sorting.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use roxmltree::Document;
use xpath_eval::FunctionCall;

use super::tree::{self, Item};
use super::{Binding, Body, Expr, Pattern, Piece, Pieces, Sort, Source, Stylesheet};
use crate::data::budget::Budget;
use crate::data::xml::tree::Node;
use crate::data::xml::xpath::evaluate::{At, Evaluator, Scope, Value, Wrong};

/// Why a run ended that needs more levels than it may have.
pub const TOO_DEEP: &str = "the stylesheet's templates call each other too deep";

/// What a variable holds.
#[derive(Clone)]
pub(super) enum Held<'a> {
    Value(Value<'a>),
    /// What instructions made.
    Made(Rc<Vec<Item>>),
}

/// Nodes by the value of a key.
type Index<'a> = Rc<HashMap<String, Vec<Node<'a>>>>;

pub(super) struct Run<'a, 's> {
    pub(super) sheet: &'s Stylesheet,
    pub(super) budget: &'s Budget,
    root: Node<'a>,
    globals: RefCell<BTreeMap<&'s str, Held<'a>>>,
    /// Variables of the templates that run; the last one of a name counts, down to where the current template begins.
    locals: RefCell<Vec<(&'s str, Held<'a>)>>,
    begins: Cell<usize>,
    keys: RefCell<BTreeMap<String, Index<'a>>>,
    /// What `current()` is.
    current: Cell<Node<'a>>,
    levels: Cell<usize>,
    nothing: BTreeMap<String, String>,
}

impl Stylesheet {
    /// The result for a document, with texts for its parameters. At most so many bodies run within each other. The error says why there
    /// is no result.
    pub fn transform(
        &self,
        document: &Document<'_>,
        params: &BTreeMap<String, String>,
        levels: usize,
        budget: &Budget,
    ) -> Result<String, Wrong> {
        let root = Node::Tree(document.root());
        let run = Run {
            sheet: self,
            budget,
            root,
            globals: RefCell::default(),
            locals: RefCell::default(),
            begins: Cell::new(0),
            keys: RefCell::default(),
            current: Cell::new(root),
            levels: Cell::new(levels),
            nothing: BTreeMap::new(),
        };
        let at = At { node: root, position: 1, size: 1 };
        for global in &self.globals {
            let value = match params.get(&global.name).filter(|_| global.is_param) {
                Some(text) => Held::Value(Value::Text(text.clone())),
                None => run.held(&global.value, at)?,
            };
            run.globals.borrow_mut().insert(&global.name, value);
        }
        let mut made = Vec::new();
        run.apply_one(at, None, &[], &mut made)?;
        tree::write(&made, &self.output, budget)
    }
}

impl<'a> Scope<'a> for Run<'a, '_> {
    fn variable(&self, name: &str) -> Option<Value<'a>> {
        Some(match self.held_by(name)? {
            Held::Value(value) => value,
            Held::Made(items) => Value::Text(tree::text(&items)),
        })
    }

    fn call(&self, all: &Evaluator<'a, '_>, call: &FunctionCall, at: At<'a>) -> Option<Result<Value<'a>, Wrong>> {
        if call.name.prefix.is_some() {
            return None;
        }
        match (call.name.local.as_str(), &call.args[..]) {
            ("current", []) => Some(Ok(Value::Nodes(vec![self.current.get()]))),
            ("generate-id", args) => Some(self.id(all, args.first(), at)),
            ("key", [name, value]) => Some(self.by_key(all, name, value, at)),
            _ => None,
        }
    }
}

impl<'a, 's> Run<'a, 's> {
    fn held_by(&self, name: &str) -> Option<Held<'a>> {
        let locals = self.locals.borrow();
        let own = locals.get(self.begins.get()..).unwrap_or_default();
        if let Some((_, held)) = own.iter().rev().find(|(own, _)| *own == name) {
            return Some(held.clone());
        }
        self.globals.borrow().get(name).cloned()
    }

    /// What instructions made for a variable, if the expression is that variable.
    pub(super) fn made_for(&self, expr: &Expr) -> Option<Rc<Vec<Item>>> {
        use xpath_eval::{Expr as E, FilterExpr, PathExpr, PrimaryExpr};
        match expr.xpath.expr() {
            E::Path(PathExpr::Filter(FilterExpr { primary: PrimaryExpr::Variable(name), predicates }))
                if predicates.is_empty() =>
            {
                let name = name.prefix.iter().map(|prefix| format!("{prefix}:")).collect::<String>() + &name.local;
                match self.held_by(&name)? {
                    Held::Made(items) => Some(items),
                    Held::Value(_) => None,
                }
            }
            _ => None,
        }
    }

    /// One body more is running. What it declares ends with it.
    pub(super) fn within<T>(&self, run: impl FnOnce() -> Result<T, Wrong>) -> Result<T, Wrong> {
        self.budget.spend(1)?;
        let left = self.levels.get().checked_sub(1).ok_or(TOO_DEEP)?;
        self.levels.set(left);
        let before = self.locals.borrow().len();
        let made = run()?;
        self.locals.borrow_mut().truncate(before);
        self.levels.set(left + 1);
        Ok(made)
    }

    /// Runs a template with variables of its own.
    pub(super) fn framed<T>(&self, run: impl FnOnce() -> Result<T, Wrong>) -> Result<T, Wrong> {
        let begins = self.begins.replace(self.locals.borrow().len());
        let made = self.within(run)?;
        self.begins.set(begins);
        Ok(made)
    }

    pub(super) fn declare(&self, name: &'s str, held: Held<'a>) {
        self.locals.borrow_mut().push((name, held));
    }

    pub(super) fn held(&self, source: &'s Source, at: At<'a>) -> Result<Held<'a>, Wrong> {
        Ok(match source {
            Source::Select(expr) => match self.made_for(expr) {
                Some(items) => Held::Made(items),
                None => Held::Value(self.value(expr, at)?),
            },
            Source::Body(body) if body.is_empty() => Held::Value(Value::Text(String::new())),
            Source::Body(body) => Held::Made(Rc::new(self.made(body, at)?)),
        })
    }

    /// Values for the parameters of a template that is called.
    pub(super) fn given(&self, params: &'s [Binding], at: At<'a>) -> Result<Vec<(&'s str, Held<'a>)>, Wrong> {
        params.iter().map(|param| Ok((param.name.as_str(), self.held(&param.value, at)?))).collect()
    }

    /// What a body makes, apart.
    pub(super) fn made(&self, body: &'s Body, at: At<'a>) -> Result<Vec<Item>, Wrong> {
        let mut made = Vec::new();
        self.body(body, at, &mut made)?;
        Ok(made)
    }

    fn evaluator<'e>(&'e self, namespaces: &'e BTreeMap<String, String>) -> Evaluator<'a, 'e> {
        Evaluator { root: self.root, namespaces, scope: self, budget: self.budget }
    }

    pub(super) fn value(&self, expr: &Expr, at: At<'a>) -> Result<Value<'a>, Wrong> {
        let outer = self.current.replace(at.node);
        let value = self.evaluator(&expr.namespaces).value(expr.xpath.expr(), at);
        self.current.set(outer);
        value
    }

    pub(super) fn nodes(&self, expr: &Expr, at: At<'a>) -> Result<Vec<Node<'a>>, Wrong> {
        match self.value(expr, at)? {
            Value::Nodes(nodes) => Ok(nodes),
            _ => Err("the stylesheet selects another value where nodes must be"),
        }
    }

    pub(super) fn text(&self, expr: &Expr, at: At<'a>) -> Result<String, Wrong> {
        let value = self.value(expr, at)?;
        self.text_of(value)
    }

    pub(super) fn text_of(&self, value: Value<'a>) -> Result<String, Wrong> {
        self.evaluator(&self.nothing).text(value)
    }

    pub(super) fn pieces(&self, pieces: &Pieces, at: At<'a>) -> Result<String, Wrong> {
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(expr) => out.push_str(&self.text(expr, at)?),
            }
        }
        Ok(out)
    }

    pub(super) fn matches(&self, pattern: &Pattern, node: Node<'a>) -> Result<bool, Wrong> {
        let outer = self.current.replace(node);
        let matches = self.evaluator(&pattern.namespaces).matches(&pattern.path, node);
        self.current.set(outer);
        matches
    }

    fn id(&self, all: &Evaluator<'a, '_>, arg: Option<&xpath_eval::Expr>, at: At<'a>) -> Result<Value<'a>, Wrong> {
        let node = match arg {
            Some(arg) => all.nodes(all.value(arg, at)?)?.first().copied(),
            None => Some(at.node),
        };
        Ok(Value::Text(node.map_or_else(String::new, |node| {
            let (element, kind, index) = node.place();
            format!("n{element}k{kind}i{index}")
        })))
    }

    fn by_key(
        &self,
        all: &Evaluator<'a, '_>,
        name: &xpath_eval::Expr,
        value: &xpath_eval::Expr,
        at: At<'a>,
    ) -> Result<Value<'a>, Wrong> {
        let name = all.text(all.value(name, at)?)?;
        let wanted = match all.value(value, at)? {
            Value::Nodes(nodes) => {
                nodes.iter().map(|node| Ok(node.text(self.budget)?)).collect::<Result<Vec<String>, Wrong>>()?
            }
            other => vec![all.text(other)?],
        };
        let index = self.index(&name)?;
        let mut found = Vec::new();
        for text in wanted {
            found.extend(index.get(&text).into_iter().flatten().copied());
        }
        Ok(Value::Nodes(all.sorted(found)?))
    }

    fn index(&self, name: &str) -> Result<Index<'a>, Wrong> {
        if let Some(index) = self.keys.borrow().get(name) {
            return Ok(Rc::clone(index));
        }
        let mut index: HashMap<String, Vec<Node<'a>>> = HashMap::new();
        let own: Vec<_> = self.sheet.keys.iter().filter(|key| key.name == name).collect();
        if own.is_empty() {
            return Err("the stylesheet asks for a key that it does not declare");
        }
        for element in self.root.owner().descendants() {
            let node = Node::Tree(element);
            for node in std::iter::once(node).chain(node.attributes()) {
                for key in &own {
                    let mut is_for = false;
                    for pattern in &key.patterns {
                        is_for = is_for || self.matches(pattern, node)?;
                    }
                    if !is_for {
                        continue;
                    }
                    let texts = match self.value(&key.value, At { node, position: 1, size: 1 })? {
                        Value::Nodes(nodes) => {
                            nodes.iter().map(|node| Ok(node.text(self.budget)?)).collect::<Result<Vec<String>, Wrong>>()?
                        }
                        other => vec![self.text_of(other)?],
                    };
                    texts.into_iter().for_each(|text| index.entry(text).or_default().push(node));
                }
            }
        }
        let index = Rc::new(index);
        self.keys.borrow_mut().insert(name.to_owned(), Rc::clone(&index));
        Ok(index)
    }

    /// Nodes in the order of `xsl:sort`.
    pub(super) fn sorted(&self, nodes: Vec<Node<'a>>, sorts: &[Sort], at: At<'a>) -> Result<Vec<Node<'a>>, Wrong> {
        if sorts.is_empty() {
            return Ok(nodes);
        }
        let mut descending = Vec::new();
        for sort in sorts {
            descending.push(match self.pieces(&sort.descending, at)?.as_str() {
                "ascending" => false,
                "descending" => true,
                _ => return Err("the stylesheet sorts in an order that is neither `ascending` nor `descending`"),
            });
        }
        let size = nodes.len();
        self.budget.spend((size as u64).saturating_mul(u64::from(size.max(2).ilog2()) + 1))?;
        let mut rows = Vec::with_capacity(size);
        for (before, node) in nodes.into_iter().enumerate() {
            let at = At { node, position: before + 1, size };
            let keys = sorts.iter().map(|sort| self.sort_key(sort, at)).collect::<Result<Vec<_>, Wrong>>()?;
            rows.push((keys, node));
        }
        rows.sort_by(|(left, _), (right, _)| {
            let pairs = left.iter().zip(right).zip(sorts.iter().zip(&descending));
            let orders = pairs.map(|((left, right), (sort, descending))| {
                let order = left.compare(right, sort.upper_first);
                if *descending { order.reverse() } else { order }
            });
            orders.fold(Ordering::Equal, Ordering::then)
        });
        Ok(rows.into_iter().map(|(_, node)| node).collect())
    }

    fn sort_key(&self, sort: &Sort, at: At<'a>) -> Result<SortKey, Wrong> {
        let value = self.value(&sort.value, at)?;
        Ok(match sort.numbers {
            true => SortKey::Number(self.evaluator(&self.nothing).number(value)?),
            false => {
                let text = self.text_of(value)?;
                SortKey::Text(text.to_lowercase(), text)
            }
        })
    }
}

enum SortKey {
    /// What is no number comes first.
    Number(f64),
    /// In lower case, and as it is: letters sort by the alphabet, and then by their case.
    Text(String, String),
}

impl SortKey {
    fn compare(&self, other: &SortKey, upper_first: bool) -> Ordering {
        match (self, other) {
            (SortKey::Number(left), SortKey::Number(right)) => {
                left.partial_cmp(right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
            }
            (SortKey::Text(left, left_cased), SortKey::Text(right, right_cased)) => {
                let cased = left_cased.cmp(right_cased);
                left.cmp(right).then(if upper_first { cased } else { cased.reverse() })
            }
            _ => Ordering::Equal,
        }
    }
}
