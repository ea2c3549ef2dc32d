//! Values. The grammar has one rule for conditions and values; here it is read as a value.

use super::items::unreachable_rule;
use super::{Lower, Node, Rule, only};
use crate::ast::{ArithmeticOp, Call, Comments, Cond, DurationLit, DurationUnit, Expr, ExprKind, Part, Syntax, Type};
use crate::codes;
use crate::diagnostic::nearest;
use crate::parse::{MAX_CHAIN, parts};
use crate::span::{Span, Spanned};
use crate::words::{DATA_URI, SYNTAXES};

impl Lower<'_> {
    /// A value. A condition in its place is reported.
    pub fn expr(&mut self, node: Node<'_>) -> Option<Expr> {
        let whole = self.span(&node);
        let operand = only(&node).and_then(|child| if child.as_rule() == Rule::comparison { only(&child) } else { Some(child) });
        match operand {
            Some(operand) => self.sum(operand),
            None => self.condition_for_value(whole),
        }
    }

    fn condition_for_value<T>(&mut self, span: Span) -> Option<T> {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or("…");
        let help =
            if text.contains('\n') { "put it in parentheses".to_owned() } else { format!("put it in parentheses: `({text})`") };
        self.error(codes::NOT_A_VALUE, "a condition used as a value needs parentheses", span, help);
        None
    }

    /// Whether the parentheses contain a condition rather than a value.
    fn is_condition(&self, node: &Node<'_>) -> bool {
        let Some(comparison) = only(node) else { return true };
        if comparison.as_rule() != Rule::comparison {
            return false;
        }
        let Some(sum) = only(&comparison) else { return true };
        only(&sum).is_some_and(|operand| match operand.as_rule() {
            Rule::paren => operand.into_inner().any(|inner| inner.as_rule() == Rule::value && self.is_condition(&inner)),
            rule => rule == Rule::call && self.is_assertion(&operand),
        })
    }

    /// A condition as a value. It must not contain assertions, which take time and may fault: they need a statement of their own.
    fn condition(&mut self, node: Node<'_>) -> Option<ExprKind> {
        let cond = self.cond(node)?;
        if let Some(call) = called(&cond) {
            let help = "decide with `if`: `set x = false`, then `if … { set x = true }`";
            self.error(codes::NOT_A_VALUE, "an assertion cannot be called inside a value", call.span.span, help);
            return None;
        }
        Some(ExprKind::Condition(cond))
    }

    /// Operands and operators: `*`, `/`, `%` before `+`, `-`, each from the left. Or a single operand.
    pub fn sum(&mut self, node: Node<'_>) -> Option<Expr> {
        if node.as_rule() != Rule::sum {
            return self.primary(node);
        }
        if let Some(child) = only(&node) {
            return self.primary(child);
        }
        let span = self.span(&node);
        let mut operands: Vec<Option<Expr>> = Vec::new();
        let mut ops: Vec<ArithmeticOp> = Vec::new();
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::product_op | Rule::minus => ops.extend(arithmetic(child.as_str())),
                _ => operands.push(self.primary(child)),
            }
        }
        if operands.len() > MAX_CHAIN {
            self.error(
                codes::TOO_DEEP,
                format!("more than {MAX_CHAIN} operands in one expression"),
                span,
                "use several `set` lines",
            );
            return None;
        }
        let mut operands = operands.into_iter().collect::<Option<Vec<Expr>>>()?.into_iter();
        // `total` is the result of `+` and `-` so far, `term` the current result of `*`, `/` and `%`.
        let mut total: Option<(Expr, ArithmeticOp)> = None;
        let mut term = operands.next()?;
        for (op, right) in ops.into_iter().zip(operands) {
            if matches!(op, ArithmeticOp::Add | ArithmeticOp::Sub) {
                total = Some((combine(total, term), op));
                term = right;
            } else {
                term = combine(Some((term, op)), right);
            }
        }
        Some(combine(total, term))
    }

    pub fn primary(&mut self, node: Node<'_>) -> Option<Expr> {
        let span = self.span(&node);
        let text = node.as_str();
        let kind = match node.as_rule() {
            Rule::duration => ExprKind::Duration(self.duration(&node)?.node),
            Rule::number => self.number(&node)?,
            Rule::raw => ExprKind::Raw(text[2..text.len() - 1].to_owned()),
            Rule::string => return Some(self.string(&node)),
            Rule::json_expr => {
                let value = self.part(node)?;
                ExprKind::Json(self.json_value(value)?)
            }
            Rule::file_text => self.file_text(node)?,
            Rule::template => self.template(node)?,
            Rule::triple => {
                self.error(
                    codes::UNKNOWN_SYNTAX,
                    "this text does not say its syntax",
                    span,
                    "write `text \"\"\"`, or `html`, `xml`, `sql`, `url`",
                );
                return None;
            }
            Rule::single_quoted => {
                self.single_quotes(&node);
                return None;
            }
            Rule::var if self.inside => {
                let help = format!("write `{}`", text[2..text.len() - 1].trim());
                self.error(codes::BAD_VARIABLE, "inside `${…}` a variable has no braces of its own", span, help);
                return None;
            }
            Rule::bare_word if self.inside => return self.inside_name(&node),
            Rule::var => match parts::reference(self.file, &text[2..text.len() - 1], span.start as usize + 2) {
                Ok((var, false)) => ExprKind::Var(var),
                Ok((var, true)) => {
                    let help = format!("write `${{{}}}`; `raw` is for templates, where values are escaped", var.name.node);
                    self.error(codes::BAD_VARIABLE, "`raw` has no meaning here", span, help);
                    return None;
                }
                Err(diagnostic) => {
                    self.out.push(*diagnostic);
                    return None;
                }
            },
            Rule::bare_var => {
                let help = format!("write `${{{}}}`", &text[1..]);
                self.error(codes::MISSING_BRACES, format!("`{text}` lacks its braces"), span, help);
                return None;
            }
            Rule::list => ExprKind::List(self.list(node)?),
            Rule::paren => {
                let inner = self.part(node)?;
                if self.is_condition(&inner) { self.condition(inner)? } else { ExprKind::Group(self.expr(inner)?) }
            }
            Rule::call => return self.function(node),
            Rule::boolean => {
                let lower = text.to_ascii_lowercase();
                self.spelling(&node, &lower);
                ExprKind::Bool(lower == "true")
            }
            Rule::bare_word => {
                self.bare_word(&node);
                return None;
            }
            rule => {
                unreachable_rule(rule);
                return None;
            }
        };
        Some(Expr::new(kind, span))
    }

    /// A name inside `${…}`: a variable.
    pub fn inside_name(&mut self, node: &Node<'_>) -> Option<Expr> {
        let span = self.span(node);
        match parts::reference(self.file, node.as_str().trim(), span.start as usize) {
            Ok((var, _)) => Some(Expr::new(ExprKind::Var(var), span)),
            Err(diagnostic) => {
                self.out.push(*diagnostic);
                None
            }
        }
    }

    pub fn bare_word(&mut self, node: &Node<'_>) {
        let word = node.as_str();
        let span = self.span(node);
        let help = match word {
            "null" | "nil" | "none" | "undefined" => "`null` exists in JSON only; test with `is empty`".to_owned(),
            _ => format!("text needs quotes, `\"{word}\"`; a variable is `${{{word}}}`"),
        };
        self.error(codes::BARE_WORD, format!("`{word}` is neither text nor a variable"), span, help);
    }

    pub fn single_quotes(&mut self, node: &Node<'_>) {
        let span = self.span(node);
        let text = node.as_str().trim_matches('\'');
        self.error(codes::SINGLE_QUOTES, "texts need double quotes", span, format!("write `\"{text}\"`"));
    }

    /// `"…"` with its parts.
    pub fn string(&mut self, node: &Node<'_>) -> Expr {
        let span = self.span(node);
        let text = node.as_str().trim_end();
        let parts = parts::quoted(self.file, &text[1..text.len() - 1], span.start as usize + 1, self.out);
        Expr::new(ExprKind::Text(parts), span)
    }

    /// `"…"` or `"""…"""` as parts.
    fn quoted_parts(&mut self, node: &Node<'_>) -> Vec<Part> {
        let start = self.span(node).start as usize;
        let text = node.as_str().trim_end();
        match node.as_rule() {
            Rule::triple => parts::block(self.file, &text[3..text.len() - 3], start + 3, self.out),
            _ => parts::quoted(self.file, &text[1..text.len() - 1], start + 1, self.out),
        }
    }

    fn number(&mut self, node: &Node<'_>) -> Option<ExprKind> {
        let text = node.as_str();
        if text.contains(['.', 'e', 'E']) {
            return Some(ExprKind::Decimal(text.to_owned()));
        }
        match text.parse() {
            Ok(number) => Some(ExprKind::Int(number)),
            Err(_) => {
                let span = self.span(node);
                self.error(codes::NUMBER_RANGE, format!("`{text}` is too large"), span, format!("numbers go up to {}", i64::MAX));
                None
            }
        }
    }

    pub fn duration(&mut self, node: &Node<'_>) -> Option<Spanned<DurationLit>> {
        let text = node.as_str();
        let span = self.span(node);
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let unit = match unit {
            "ms" => DurationUnit::Millis,
            "s" => DurationUnit::Seconds,
            "m" => DurationUnit::Minutes,
            "h" => DurationUnit::Hours,
            "d" => DurationUnit::Days,
            _ => {
                let help = match unit.to_ascii_lowercase().as_str() {
                    "sec" | "secs" | "second" | "seconds" => format!("write `{digits}s`"),
                    "min" | "mins" | "minute" | "minutes" => format!("write `{digits}m`"),
                    "hour" | "hours" | "hr" => format!("write `{digits}h`"),
                    "day" | "days" => format!("write `{digits}d`"),
                    _ => "units are `ms`, `s`, `m`, `h` and `d`".to_owned(),
                };
                self.error(codes::UNKNOWN_UNIT, format!("there is no unit `{unit}`"), span, help);
                return None;
            }
        };
        match digits.parse() {
            Ok(count) => Some(Spanned::new(DurationLit { count, unit }, span)),
            Err(_) => {
                self.error(codes::NUMBER_RANGE, format!("`{digits}` is too large"), span, "use a larger unit");
                None
            }
        }
    }

    pub fn ty(&mut self, node: &Node<'_>) -> Option<Spanned<Type>> {
        let word = node.as_str();
        if let Some((_, ty)) = Type::ALL.iter().find(|(name, _)| *name == word) {
            return Some(self.spanned(*ty, node));
        }
        let known = Type::ALL.iter().map(|(name, _)| *name);
        let alias = match word.to_ascii_lowercase().as_str() {
            "str" | "text" => Some("string"),
            "integer" | "number" | "long" => Some("int"),
            "bool" => Some("boolean"),
            "float" | "double" => Some("decimal"),
            "date" | "time" | "timestamp" => Some("datetime"),
            "array" => Some("list"),
            _ => nearest(word, known.clone()),
        };
        let help = match alias {
            Some(alias) => format!("did you mean `{alias}`?"),
            None => format!("types are {}", known.collect::<Vec<_>>().join(", ")),
        };
        let span = self.span(node);
        self.error(codes::UNKNOWN_TYPE, format!("there is no type `{word}`"), span, help);
        None
    }

    fn list(&mut self, node: Node<'_>) -> Option<Vec<Expr>> {
        let said = self.out.len();
        let entries =
            self.entries(node, |lower, child| lower.expr(child).map(|expr| (expr, Comments::default())), |entry| &mut entry.1);
        let mut list = Vec::with_capacity(entries.len());
        for (expr, comments) in entries {
            self.loosen(comments);
            list.push(expr);
        }
        (self.out.len() == said).then_some(list)
    }

    fn syntax(&mut self, node: &Node<'_>) -> Option<Syntax> {
        let word = node.as_str();
        if let Some(syntax) = SYNTAXES.into_iter().find(|syntax| syntax.word() == word) {
            return Some(syntax);
        }
        if word == DATA_URI {
            let span = self.span(node);
            self.error(codes::UNKNOWN_SYNTAX, "`data_uri` takes a file", span, "write `data_uri file \"logo.png\"`");
            return None;
        }
        let names = SYNTAXES.map(Syntax::word).into_iter();
        let help = match nearest(word, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if word.starts_with(|c: char| c.is_ascii_uppercase()) => {
                format!("an assertion is called with parentheses: `{word}(…)`")
            }
            None => format!("templates are {}", names.collect::<Vec<_>>().join(", ")),
        };
        let span = self.span(node);
        self.error(codes::UNKNOWN_SYNTAX, format!("there is no template syntax `{word}`"), span, help);
        None
    }

    fn template(&mut self, node: Node<'_>) -> Option<ExprKind> {
        let mut children = self.children(node).into_iter();
        let word = children.next()?;
        let text = children.next()?;
        let parts = self.quoted_parts(&text);
        match self.syntax(&word)? {
            Syntax::Json => {
                let span = self.span(&text);
                self.error(codes::UNKNOWN_SYNTAX, "JSON is not written in quotes", span, "write `json { \"name\": ${value} }`");
                None
            }
            syntax => Some(ExprKind::Template(syntax, parts)),
        }
    }

    fn file_text(&mut self, node: Node<'_>) -> Option<ExprKind> {
        let mut children = self.children(node).into_iter();
        let word = children.next()?;
        if word.as_str().eq_ignore_ascii_case(DATA_URI) {
            self.spelling(&word, DATA_URI);
            return Some(ExprKind::DataUri(self.plain_text(&children.next()?)?));
        }
        let syntax = self.syntax(&word);
        let path = self.plain_text(&children.next()?)?;
        Some(ExprKind::File(syntax?, path))
    }
}

/// The first assertion in a condition.
fn called(cond: &Cond) -> Option<&Call> {
    match cond {
        Cond::Or(conds) | Cond::And(conds) => conds.iter().find_map(called),
        Cond::Not(cond) | Cond::Group(cond) => called(cond),
        Cond::Call(call) => Some(call),
        Cond::Compare(_) | Cond::Truth(_) => None,
    }
}

fn arithmetic(sign: &str) -> Option<ArithmeticOp> {
    match sign {
        "+" => Some(ArithmeticOp::Add),
        "-" => Some(ArithmeticOp::Sub),
        "*" => Some(ArithmeticOp::Mul),
        "/" => Some(ArithmeticOp::Div),
        "%" => Some(ArithmeticOp::Rem),
        _ => None,
    }
}

fn combine(left: Option<(Expr, ArithmeticOp)>, right: Expr) -> Expr {
    match left {
        None => right,
        Some((left, op)) => {
            let span = left.span.span.to(right.span.span);
            Expr::new(ExprKind::Arithmetic(op, left, right), span)
        }
    }
}
