//! Makes the comparisons of a statement bytewise. Databases have their own ideas of equality: blanks at the end, case, accents,
//! `01` and `1`. Here a key, a token or a name equals another one only if every byte does. So `a = b` becomes
//! `(a = b AND bytes(a) = bytes(b))`: the first part finds rows by an index, the second one decides. Numbers compare as numbers.
//!
//! Only statements with bound values are rewritten. Not changed: comparisons with a literal number, comparisons with `COLLATE`
//! (the author's own choice), `LIKE`, `<` and the like, `USING`, and comparisons inside functions.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, ConflictTarget, Expr, Ident, InTarget, Insert, OnConflictAction, OnInsert, Query, SelectItem, SetExpr,
    Statement as Ast, TableObject, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use sqlparser::parser::{Parser, ParserOptions};

use super::StatementError;
use super::backend::{Operand, Placeholders, Spelling};
use super::rendered::{Rendered, Role, mark};

/// The statement of these pieces with bytewise comparisons. Fails, with the reason, if it cannot be parsed or compared that way.
pub(super) fn rewrite(spelling: &'static dyn Spelling, pieces: &[&str]) -> Result<Rendered, StatementError> {
    let params = pieces.len().saturating_sub(1);
    let sql = numbered(spelling.placeholders(), pieces);
    // Quoted texts stay as written, because the server's settings define what an escape means.
    let options = ParserOptions { unescape: false, ..ParserOptions::default() };
    let parsed =
        Parser::new(spelling.grammar()).with_options(options).try_with_sql(&sql).and_then(|mut parser| parser.parse_statements());
    let mut parsed = parsed.map_err(|error| StatementError::Unreadable(error.to_string()))?;
    let [statement] = &mut parsed[..] else { return Err(StatementError::NotOne) };
    let mut rewriter = Rewriter { spelling, changed: false };
    if let ControlFlow::Break(why) = statement.visit(&mut rewriter) {
        return Err(why);
    }
    if !rewriter.changed {
        return Ok(Rendered::plain(spelling.placeholders(), pieces));
    }
    let rendered = Rendered::marked(spelling.placeholders(), &statement.to_string(), params)?;
    if rendered.takes_all(params) { Ok(rendered) } else { Err(StatementError::Misplaced) }
}

/// The text with numbered placeholders in the grammar of the dialect.
fn numbered(placeholders: Placeholders, pieces: &[&str]) -> String {
    let sign = if placeholders == Placeholders::Typed { '$' } else { '?' };
    let mut sql = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            sql.push_str(&format!("{sign}{i}"));
        }
        sql.push_str(piece);
    }
    sql
}

struct Rewriter {
    spelling: &'static dyn Spelling,
    changed: bool,
}

impl VisitorMut for Rewriter {
    type Break = StatementError;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<StatementError> {
        if let Value::Placeholder(name) = &value.value {
            let Some(number) = name.get(1..).and_then(|digits| digits.parse::<usize>().ok()) else {
                return ControlFlow::Break(StatementError::Placeholder(name.clone()));
            };
            value.value = Value::Placeholder(mark(Role::Value, number.saturating_sub(1)));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<StatementError> {
        match self.exact(expr) {
            Ok(Some(text)) => {
                self.changed = true;
                *expr = verbatim(text);
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(why) => ControlFlow::Break(why),
        }
    }

    fn post_visit_statement(&mut self, statement: &mut Ast) -> ControlFlow<StatementError> {
        match statement {
            Ast::Insert(insert) => match self.upsert(insert) {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => ControlFlow::Break(why),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Rewriter {
    /// The exact form of this comparison; `None` for anything else.
    fn exact(&mut self, expr: &mut Expr) -> Result<Option<String>, StatementError> {
        match expr {
            Expr::BinaryOp { left, op, right } => {
                let negated = *op == BinaryOperator::NotEq;
                match op {
                    BinaryOperator::Eq | BinaryOperator::NotEq => self.compare(left, "=", right, negated),
                    BinaryOperator::Spaceship => self.compare(left, "<=>", right, negated),
                    BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
                        self.changed |= order(left) | order(right);
                        Ok(None)
                    }
                    _ => Ok(None),
                }
            }
            Expr::IsNotDistinctFrom(left, right) => self.compare(left, "IS NOT DISTINCT FROM", right, false),
            Expr::IsDistinctFrom(left, right) => self.compare(left, "IS NOT DISTINCT FROM", right, true),
            Expr::In { expr, target, negated, .. } => match target {
                InTarget::List(list) => self.in_list(expr, list, *negated),
                InTarget::Subquery(query) => self.in_query(expr, query, *negated),
                _ => Err(StatementError::Inexact("`in` is exact for lists and for `select`")),
            },
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => match compare_op {
                BinaryOperator::Eq | BinaryOperator::NotEq => {
                    Err(StatementError::Inexact("`any` and `all` compare as the database does: write `in (…)` or `exists (…)`"))
                }
                _ => Ok(None),
            },
            Expr::Case { operand, conditions, .. } => {
                let Some(subject) = operand.take() else { return Ok(None) };
                for when in conditions {
                    let text = match self.compare(&subject, "=", &when.condition, false)? {
                        Some(text) => text,
                        None => format!("{subject} = {}", when.condition),
                    };
                    when.condition = verbatim(text);
                }
                self.changed = true;
                Ok(None)
            }
            Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } | Expr::RLike { expr, pattern, .. } => {
                self.changed |= order(expr) | order(pattern);
                Ok(None)
            }
            Expr::Between { expr, low, high, .. } => {
                self.changed |= order(expr) | order(low) | order(high);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn compare(&self, left: &Expr, op: &str, right: &Expr, negated: bool) -> Result<Option<String>, StatementError> {
        if leaves_alone(left) || leaves_alone(right) {
            return Ok(None);
        }
        let bytes = self.same(left, op, right)?;
        let not = if negated { "NOT " } else { "" };
        Ok(Some(format!("({not}({} {op} {} AND {bytes}))", probe(left), probe(right))))
    }

    fn in_list(&self, expr: &Expr, list: &[Expr], negated: bool) -> Result<Option<String>, StatementError> {
        if leaves_alone(expr) || list.iter().all(leaves_alone) {
            return Ok(None);
        }
        let probes: Vec<String> = list.iter().map(probe).collect();
        let each = |item| match leaves_alone(item) {
            true => Ok(format!("{} = {item}", probe(expr))),
            false => self.same(expr, "=", item),
        };
        let bytes = list.iter().map(each).collect::<Result<Vec<String>, StatementError>>()?.join(" OR ");
        let not = if negated { "NOT " } else { "" };
        Ok(Some(format!("({not}({} IN ({}) AND ({bytes})))", probe(expr), probes.join(", "))))
    }

    fn in_query(&self, expr: &Expr, query: &Query, negated: bool) -> Result<Option<String>, StatementError> {
        if leaves_alone(expr) {
            return Ok(None);
        }
        let inexact =
            StatementError::Inexact("`in (select …)` is exact only for one column of a plain `select`: write `exists (…)`");
        let mut exact = query.clone();
        let SetExpr::Select(select) = &mut *exact.body else { return Err(inexact) };
        let cut = query.limit_clause.is_some() || query.fetch.is_some() || query.with.is_some();
        let (SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) = (match &select.projection[..] {
            [item] if !cut => item,
            _ => return Err(inexact),
        }) else {
            return Err(inexact);
        };
        if matches!(expr, Expr::Tuple(_)) {
            return Err(inexact);
        }
        select.projection = vec![SelectItem::UnnamedExpr(verbatim(self.bytes(column)))];
        let bytes = format!("{} IN ({exact})", self.bytes(expr));
        let bytes = match (self.spelling.placeholders(), param(expr)) {
            (Placeholders::Typed, Some(number)) => format!("({} IS NULL OR {bytes})", mark(Role::Bytes, number)),
            _ => bytes,
        };
        let not = if negated { "NOT " } else { "" };
        Ok(Some(format!("({not}({} IN ({query}) AND {bytes}))", probe(expr))))
    }

    /// The condition that two operands that the database considers equal are the same.
    fn same(&self, left: &Expr, op: &str, right: &Expr) -> Result<String, StatementError> {
        if let (Expr::Tuple(left), Expr::Tuple(right)) = (inner(left), inner(right))
            && left.len() == right.len()
        {
            let pairs = left.iter().zip(right).filter(|(left, right)| !leaves_alone(left) && !leaves_alone(right));
            let pairs = pairs.map(|(left, right)| self.same(left, op, right)).collect::<Result<Vec<_>, _>>()?;
            return Ok(if pairs.is_empty() { "1 = 1".to_owned() } else { format!("({})", pairs.join(" AND ")) });
        }
        if matches!(inner(left), Expr::Tuple(_)) || matches!(inner(right), Expr::Tuple(_)) {
            return Err(StatementError::Inexact("rows can only be compared with rows of the same number of values"));
        }
        let bytes = format!("{} {op} {}", self.bytes(left), self.bytes(right));
        Ok(match self.spelling.numbers(operand(left), operand(right)) {
            Some(numbers) => format!("({numbers} OR {bytes})"),
            None => bytes,
        })
    }

    /// The bytes of an operand's text.
    fn bytes(&self, operand: &Expr) -> String {
        match (self.spelling.placeholders(), param(operand)) {
            (Placeholders::InOrder | Placeholders::Typed, Some(number)) => mark(Role::Bytes, number),
            _ => self.spelling.bytes(operand),
        }
    }

    /// The row that a unique key considers the same need not be the same.
    fn upsert(&mut self, insert: &mut Insert) -> Result<(), StatementError> {
        let Some(OnInsert::OnConflict(conflict)) = &mut insert.on else {
            if self.spelling.changes_what_it_takes_for_equal() && (insert.replace_into || insert.on.is_some()) {
                return Err(StatementError::Inexact(
                    "the database decides by its own idea of equality which row is the same: write an `update`, and an `insert` \
                     where it touched no row",
                ));
            }
            return Ok(());
        };
        let OnConflictAction::DoUpdate(update) = &mut conflict.action else { return Ok(()) };
        let Some(ConflictTarget::Columns { columns, .. }) = &conflict.conflict_target else {
            return Err(StatementError::Inexact("`on conflict` must name the columns of the key"));
        };
        let table = match (&insert.table_alias, &insert.table) {
            (Some(alias), _) => alias.alias.to_string(),
            (None, TableObject::TableName(name)) => name.to_string(),
            _ => return Err(StatementError::Inexact("`on conflict` needs the name of a table")),
        };
        let mut conditions = Vec::new();
        for column in columns {
            let (old, new) = (verbatim(format!("{table}.{column}")), verbatim(format!("excluded.{column}")));
            conditions.push(self.same(&old, "=", &new)?);
        }
        if let Some(condition) = &update.selection {
            conditions.push(format!("({condition})"));
        }
        update.selection = Some(verbatim(conditions.join(" AND ")));
        self.changed = true;
        Ok(())
    }
}

/// An expression that is printed as this text.
fn verbatim(text: String) -> Expr {
    Expr::Identifier(Ident::new(text))
}

fn inner(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(expr) => inner(expr),
        other => other,
    }
}

/// The number of the parameter that this is.
fn param(expr: &Expr) -> Option<usize> {
    match inner(expr) {
        Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) => super::rendered::number(name),
        _ => None,
    }
}

fn operand(expr: &Expr) -> Operand<'_> {
    let literal = matches!(inner(expr), Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(_), .. }));
    Operand { sql: expr, param: param(expr), literal }
}

/// An operand for finding rows: parameters are bound so that an index is used whatever their type.
fn probe(expr: &Expr) -> String {
    match (param(expr), inner(expr)) {
        (Some(number), _) => mark(Role::Probe, number),
        (None, Expr::Tuple(items)) => format!("({})", items.iter().map(probe).collect::<Vec<_>>().join(", ")),
        _ => expr.to_string(),
    }
}

/// Marks a parameter that is compared by order or by pattern.
fn order(expr: &mut Expr) -> bool {
    match param(expr) {
        Some(number) => {
            *expr = Expr::value(Value::Placeholder(mark(Role::Order, number)));
            true
        }
        None => false,
    }
}

/// Whether the database's own comparison is used: the operand is a number, or the author named a collation.
fn leaves_alone(expr: &Expr) -> bool {
    match inner(expr) {
        Expr::Value(ValueWithSpan { value: Value::Number(..) | Value::Boolean(_) | Value::Null, .. }) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, .. } => true,
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        ),
        Expr::Extract { .. } => true,
        Expr::Function(function) => {
            let name = function.name.to_string();
            ["count", "sum", "avg", "length", "char_length", "abs"].iter().any(|known| name.eq_ignore_ascii_case(known))
        }
        // Even collations that compare codes ignore blanks at the end, so they cannot replace bytes.
        Expr::Collate { collation, .. } => {
            let name = collation.to_string().to_ascii_lowercase();
            !(name.contains("bin") || name == "\"c\"" || name == "\"posix\"")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
