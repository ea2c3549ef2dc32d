//! Comparisons.

use portcullis_dsl::ast::{BinaryOp, Bounds, Comparison, Cond, Expr, Multi, Predicate, Type};

use super::build::{at, check, compare, stmt, text};
use super::logic::dot_all;
use super::{Made, Translator, build, text as texts};
use crate::model::{Prop, Step};

/// A predicate as exports have it.
struct Test<'s> {
    kind: &'s str,
    prop: Option<&'s Prop>,
    step: &'s Step,
}

impl Test<'_> {
    fn text(&self, name: &str) -> &str {
        match self.prop {
            Some(prop) => prop.text_of(name).unwrap_or(""),
            None => self.step.text(match name {
                "rightValue" => "expression2",
                "negated" => "negate",
                name => name,
            }),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    /// `true` unless it says otherwise.
    fn is_case_sensitive(&self) -> bool {
        !self.text("caseSensitive").eq_ignore_ascii_case("false")
    }
}

impl Translator<'_> {
    /// `ComparisonAssertion`
    pub fn comparison(&mut self, step: &Step) -> Made {
        let source = step.text("expression1").to_owned();
        let lone = texts::lone(&source).is_some();
        let one_text = step.text("expressionIsVariable").eq_ignore_ascii_case("false");
        let left = match lone && !one_text {
            true => self.value(&source),
            false => self.text(&source),
        };
        let mode = match step.text("multivaluedComparison").to_ascii_uppercase().as_str() {
            "ANY" => Multi::Any,
            "FIRST" => Multi::First,
            "LAST" => Multi::Last,
            "FAIL" => Multi::Single,
            _ => Multi::All,
        };
        let given = step.prop("predicates").map(Prop::list).unwrap_or(&[]);
        let tests: Vec<Test<'_>> = match given {
            [] => vec![Test { kind: "binary", prop: None, step }],
            given => given.iter().map(|prop| Test { kind: kind_of(prop), prop: Some(prop), step }).collect(),
        };
        let mut ty = None;
        let mut conds = Vec::new();
        for (n, test) in tests.iter().enumerate() {
            let comparison = |predicate| Comparison { mode, ty: ty.map(at), ..compare(left.clone(), predicate) };
            let cond = match test.kind {
                "dataType" => {
                    let word = ["type", "dataType"].iter().map(|name| test.text(name)).find(|word| !word.is_empty());
                    ty = match type_of(word.unwrap_or("string")) {
                        Ok(ty) => ty,
                        Err(word) => return Made::missing(format!("the data type `{word}` in a comparison")),
                    };
                    let next_says = tests.get(n + 1).is_some_and(|next| next.kind == "binary" && operator(next) != "EMPTY");
                    match ty {
                        // The comparison that follows converts both sides, and fails where that is impossible.
                        _ if next_says => None,
                        None => None,
                        Some(ty) => {
                            let same = compare(left.clone(), Predicate::Binary(BinaryOp::Eq, left.clone()));
                            Some(Cond::Compare(Box::new(Comparison { mode, ty: Some(at(ty)), ..same })))
                        }
                    }
                }
                "binary" => Some(self.binary(test, &comparison)),
                "regex" => {
                    let regex = test.text("pattern");
                    if let Err(why) = super::logic::compiles(regex) {
                        return Made::missing(why);
                    }
                    let found = comparison(Predicate::Matches(build::pattern(&dot_all(regex))));
                    Some(negated(Cond::Compare(Box::new(found)), test.is("negated")))
                }
                "stringLength" => {
                    let bounds = bounds(test.text("minLength"), test.text("maxLength"));
                    Some(negated(Cond::Compare(Box::new(comparison(Predicate::Length(bounds)))), test.is("negated")))
                }
                "cardinality" => {
                    let bounds = bounds(test.text("min"), test.text("max"));
                    let counted = Comparison { mode: Multi::All, ..comparison(Predicate::Count(bounds)) };
                    Some(negated(Cond::Compare(Box::new(counted)), test.is("negated")))
                }
                "empty" => Some(Cond::Compare(Box::new(comparison(match test.is("negated") {
                    true => Predicate::NotEmpty,
                    false => Predicate::Empty,
                })))),
                kind => return Made::missing(format!("the comparison `{kind}`")),
            };
            conds.extend(cond);
        }
        let cond = match conds.len() {
            // A data type alone that every value has.
            0 => return Made::exact(stmt(portcullis_dsl::ast::StmtKind::Continue)),
            1 => conds.pop(),
            _ => Some(Cond::And(conds)),
        };
        match cond {
            Some(cond) => Made::exact(check(cond)),
            None => Made::missing("a comparison without a test"),
        }
    }

    fn binary(&mut self, test: &Test<'_>, comparison: &dyn Fn(Predicate) -> Comparison) -> Cond {
        let right = test.text("rightValue").to_owned();
        let not = test.is("negated");
        let value = |own: &mut Self| own.value_right(&right);
        let simple = |comparison: Comparison| Cond::Compare(Box::new(comparison));
        let cased = |comparison: Comparison| {
            let ignore_case = !test.is_case_sensitive() && has_letters(&right) && comparison.ty.is_none();
            simple(Comparison { ignore_case, ..comparison })
        };
        let order = |op, own: &mut Self| negated(simple(comparison(Predicate::Binary(op, own.value_right(&right)))), not);
        match operator(test).as_str() {
            "EMPTY" => simple(comparison(if not { Predicate::NotEmpty } else { Predicate::Empty })),
            "NE" => cased(comparison(Predicate::Binary(if not { BinaryOp::Eq } else { BinaryOp::Ne }, value(self)))),
            "CONTAINS" => negated(cased(comparison(Predicate::Contains(value(self)))), not),
            "LT" => order(BinaryOp::Lt, self),
            "LE" => order(BinaryOp::Le, self),
            "GT" => order(BinaryOp::Gt, self),
            "GE" => order(BinaryOp::Ge, self),
            "TRUE" => negated(simple(comparison(Predicate::Binary(BinaryOp::Eq, build::lit("true")))), not),
            "FALSE" => negated(simple(comparison(Predicate::Binary(BinaryOp::Eq, build::lit("false")))), not),
            _ => cased(comparison(Predicate::Binary(if not { BinaryOp::Ne } else { BinaryOp::Eq }, value(self)))),
        }
    }

    /// The right side is one text there, also where it is a list.
    fn value_right(&mut self, source: &str) -> Expr {
        text(self.parts(source))
    }
}

/// What kind of test an export's predicate is; those of policies as code do not say it.
fn kind_of(prop: &Prop) -> &str {
    if let Some(kind) = prop.text_of(".kind") {
        return kind;
    }
    let has = |name: &str| prop.get(name).is_some();
    if has("pattern") {
        "regex"
    } else if has("minLength") || has("maxLength") {
        "stringLength"
    } else if has("min") || has("max") {
        "cardinality"
    } else if has("type") || has("dataType") {
        "dataType"
    } else {
        "binary"
    }
}

fn operator(test: &Test<'_>) -> String {
    let word = test.text("operator").to_ascii_uppercase();
    if word.is_empty() { "EQ".to_owned() } else { word }
}

fn negated(cond: Cond, not: bool) -> Cond {
    if not { Cond::Not(Box::new(cond)) } else { cond }
}

/// Whether the case of letters could make a difference.
fn has_letters(right: &str) -> bool {
    right.contains("${") || right.chars().any(char::is_alphabetic)
}

fn type_of(word: &str) -> Result<Option<Type>, String> {
    match word.to_ascii_lowercase().as_str() {
        "string" | "unknown" | "" => Ok(None),
        "int" | "integer" | "long" => Ok(Some(Type::Int)),
        "decimal" | "float" | "double" => Ok(Some(Type::Decimal)),
        "boolean" => Ok(Some(Type::Boolean)),
        "datetime" => Ok(Some(Type::DateTime)),
        _ => Err(word.to_owned()),
    }
}

fn bounds(min: &str, max: &str) -> Bounds {
    let bound = |text: &str| text.trim().parse::<u64>().ok();
    Bounds { min: bound(min).or(Some(0)), max: bound(max) }
}
