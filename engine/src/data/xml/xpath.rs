//! XPath 1.0 expressions: parsed once, evaluated on documents within a budget.

mod axes;
pub(super) mod evaluate;
pub(super) mod functions;
pub(super) mod pattern;

use std::collections::BTreeMap;

use thiserror::Error;
use xpath_eval::{Expr, FilterExpr, PathExpr, PrimaryExpr, Step};

use self::evaluate::{At, Evaluator, Value};
use super::tree::Node;
use crate::data::budget::Budget;

/// Longest expression.
const MAX_LENGTH: usize = 4096;
/// Deepest nesting of parentheses and predicates, and most minus signs in a row, because the parser is recursive.
const MAX_NESTING: usize = 32;
/// Deepest nesting of operators (a chain of them is nested), because evaluation is recursive.
const MAX_DEPTH: usize = 128;
/// Blanks of XML.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Functions that may be the last step of a path, as in XPath 2.0.
const LAST_STEPS: [&str; 7] = ["name", "local-name", "namespace-uri", "string", "string-length", "normalize-space", "number"];

/// An expression.
pub struct XPath {
    expr: Expr,
    /// What is asked of each node that it finds.
    last: Option<Box<Expr>>,
}

/// The result of an expression.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Nodes: the text and the markup of each.
    Nodes(Vec<(String, String)>),
    /// What a function as the last step gave for each node.
    Each(Vec<String>),
    /// Truth.
    Boolean(bool),
    /// A number or a text, as text.
    Text(String),
}

/// Why a text is not an acceptable expression.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum XPathError {
    /// Too long.
    #[error("it is longer than {MAX_LENGTH} characters")]
    Long,
    /// Too many brackets or signs within each other.
    #[error("it is nested too deep")]
    Deep,
    /// Too many operators within each other.
    #[error("it has more than {MAX_DEPTH} operators within each other")]
    Operators,
    /// Not XPath 1.0.
    #[error("{0}")]
    Syntax(String),
}

impl XPath {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<XPath, XPathError> {
        if text.len() > MAX_LENGTH {
            return Err(XPathError::Long);
        }
        let (mut depth, mut signs) = (0_usize, 0_usize);
        for (c, quoted) in outside_quotes(text) {
            signs = match c {
                '-' if !quoted => signs + 1,
                c if BLANKS.contains(&c) => signs,
                _ => 0,
            };
            match c {
                _ if quoted => {}
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING || signs > MAX_NESTING {
                return Err(XPathError::Deep);
            }
        }
        let expr = xpath_eval::parse(text).map_err(|error| XPathError::Syntax(error.message))?;
        if depth_of(&expr, 0) > MAX_DEPTH {
            return Err(XPathError::Operators);
        }
        Ok(XPath { expr, last: None })
    }

    /// Reads an expression whose last step may be a function without arguments: `/a/*/name()`, as in XPath 2.0.
    pub fn parse_with_function(text: &str) -> Result<XPath, XPathError> {
        let Some((path, function)) = last_function(text) else { return XPath::parse(text) };
        let XPath { expr, .. } = XPath::parse(path)?;
        if text.len() > MAX_LENGTH {
            return Err(XPathError::Long);
        }
        if !matches!(expr, Expr::Path(_)) {
            return Err(XPathError::Syntax("a function can only be the last step of one path".to_owned()));
        }
        Ok(XPath { expr, last: Some(Box::new(XPath::parse(function)?.expr)) })
    }

    /// The parsed expression.
    pub(super) fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Evaluates at the root of a document. The error says why there is no result.
    pub fn evaluate(
        &self,
        document: &roxmltree::Document<'_>,
        namespaces: &BTreeMap<String, String>,
        variables: &BTreeMap<String, String>,
        budget: &Budget,
    ) -> Result<Answer, &'static str> {
        let root = Node::Tree(document.root());
        let evaluator = Evaluator { root, namespaces, scope: variables, budget };
        Ok(match (evaluator.value(&self.expr, At { node: root, position: 1, size: 1 })?, &self.last) {
            (Value::Nodes(nodes), Some(last)) => {
                let size = nodes.len();
                let at = |(index, node)| At { node, position: index + 1, size };
                let each = nodes.into_iter().enumerate().map(at);
                Answer::Each(each.map(|at| evaluator.text(evaluator.value(last, at)?)).collect::<Result<_, _>>()?)
            }
            (_, Some(_)) => return Err("the expression before the last step gives no nodes"),
            (Value::Nodes(nodes), None) => {
                let mut answers = Vec::with_capacity(nodes.len());
                for node in nodes {
                    answers.push((node.text(budget)?, node.markup(budget)?));
                }
                Answer::Nodes(answers)
            }
            (Value::Boolean(truth), None) => Answer::Boolean(truth),
            (other, None) => Answer::Text(evaluator.text(other)?),
        })
    }
}

/// A path, and the function after its last `/`.
fn last_function(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_end_matches(BLANKS);
    let (path, function) = text.rsplit_once('/')?;
    let name = function.strip_suffix("()")?;
    // `//name()` would ask all nodes below, and is not XPath 2.0 that anybody writes.
    let known = LAST_STEPS.contains(&name) && !path.ends_with('/');
    known.then_some((if path.trim().is_empty() { "/" } else { path }, function))
}

/// The depth of an expression; stops counting just above the limit.
fn depth_of(expr: &Expr, above: usize) -> usize {
    let depth = above + 1;
    if depth > MAX_DEPTH {
        return depth;
    }
    let deepest = |exprs: &[Expr]| exprs.iter().map(|expr| depth_of(expr, depth)).max().unwrap_or(depth);
    let steps = |steps: &[Step]| steps.iter().map(|step| deepest(&step.predicates)).max().unwrap_or(depth);
    let filter = |filter: &FilterExpr| {
        let primary = match &filter.primary {
            PrimaryExpr::Parenthesized(inner) => depth_of(inner, depth),
            PrimaryExpr::Function(call) => deepest(&call.args),
            PrimaryExpr::Variable(_) | PrimaryExpr::Literal(_) | PrimaryExpr::Number(_) => depth,
        };
        primary.max(deepest(&filter.predicates))
    };
    match expr {
        Expr::Or(left, right)
        | Expr::And(left, right)
        | Expr::Equality(left, _, right)
        | Expr::Relational(left, _, right)
        | Expr::Additive(left, _, right)
        | Expr::Multiplicative(left, _, right)
        | Expr::Union(left, right) => depth_of(left, depth).max(depth_of(right, depth)),
        Expr::Negate(inner) => depth_of(inner, depth),
        Expr::Path(PathExpr::Location(path)) => steps(&path.steps),
        Expr::Path(PathExpr::Filter(own)) => filter(own),
        Expr::Path(PathExpr::FilterLocation(own, path)) => filter(own).max(steps(&path.steps)),
    }
}

/// The prefixes that an expression uses, so that one without a namespace is reported when the policy loads.
pub fn prefixes(text: &str) -> Vec<String> {
    let plain: String = outside_quotes(text).map(|(c, quoted)| if quoted { '\'' } else { c }).collect();
    let mut found = Vec::new();
    for (at, _) in plain.match_indices(':') {
        if plain[at + 1..].starts_with(':') || plain[..at].ends_with(':') {
            continue;
        }
        let start = plain[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .map_or(0, |before| before + plain[before..].chars().next().map_or(1, char::len_utf8));
        let variable = plain[..start].ends_with('$');
        if start < at && !variable {
            found.push(plain[start..at].to_owned());
        }
    }
    found
}

/// Characters, each with a flag whether it is inside a literal.
fn outside_quotes(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut open = None;
    text.chars().map(move |c| match open {
        Some(quote) => {
            if c == quote {
                open = None;
            }
            (c, true)
        }
        None if matches!(c, '"' | '\'') => {
            open = Some(c);
            (c, true)
        }
        None => (c, false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0"?>
<o:values xmlns:o="urn:o" xmlns="urn:d" count="2">
  <o:value index="1"><token>a&amp;b</token><expires>10</expires></o:value>
  <!-- between -->
  <o:value index="2"><token><![CDATA[c<d]]></token><expires>20</expires></o:value>
</o:values>"#;

    fn whole() -> Budget {
        Budget::of(crate::data::budget::STEPS, crate::data::budget::BYTES)
    }

    fn none() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn ask(expression: &str) -> String {
        let document = crate::data::xml::parse(DOCUMENT).unwrap();
        let namespaces = BTreeMap::from([("v".to_owned(), "urn:o".to_owned()), ("d".to_owned(), "urn:d".to_owned())]);
        let variables =
            BTreeMap::from([("wanted.index".to_owned(), "2' or '1'='1".to_owned()), ("n".to_owned(), "2".to_owned())]);
        match XPath::parse_with_function(expression).unwrap().evaluate(&document, &namespaces, &variables, &whole()) {
            Ok(Answer::Each(texts)) => texts.join("|"),
            Ok(Answer::Nodes(nodes)) => nodes.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("|"),
            Ok(Answer::Boolean(truth)) => truth.to_string(),
            Ok(Answer::Text(text)) => text,
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn expressions_find_what_they_say() {
        for (expression, expected) in [
            ("/v:values/v:value/d:token", "a&b|c<d"),
            ("/v:values/*/name()", "o:value|o:value"),
            ("//d:token/string-length() ", "3|3"),
            ("//d:none/local-name()", ""),
            ("(//d:token)[2]/string()", "c<d"),
            ("/local-name()", ""),
            ("//d:token", "a&b|c<d"),
            ("//token", ""),
            ("//*[local-name()='token']", "a&b|c<d"),
            ("/v:values/@count", "2"),
            ("//v:value[@index='2']/d:token", "c<d"),
            ("//v:value[@index=$n]/d:token", "c<d"),
            ("//v:value[@index=$wanted.index]/d:token", ""),
            ("//v:value[2]/d:expires", "20"),
            ("//v:value[last()]/@index", "2"),
            ("//v:value[position() < 2]/@index", "1"),
            ("//v:value/@*", "1|2"),
            ("//d:expires/..//d:token/text()", "a&b|c<d"),
            ("//d:expires | //d:token", "a&b|10|c<d|20"),
            ("//v:value/following-sibling::v:value/@index", "2"),
            ("//v:value[2]/preceding::d:token", "a&b"),
            ("//d:token/ancestor::v:values/@count", "2"),
            ("count(//v:value)", "2"),
            ("sum(//d:expires)", "30"),
            ("sum(//d:expires) div 4 + 1 - 2 * 3", "2.5"),
            ("10 mod 4", "2"),
            ("-(2)", "-2"),
            ("boolean(//v:value)", "true"),
            ("not(//d:nothing)", "true"),
            ("//d:expires = 20", "true"),
            ("//d:expires > 20", "false"),
            ("//d:expires != 20 and true()", "true"),
            ("1 = 2 or 2 >= 2", "true"),
            ("string(//d:token)", "a&b"),
            ("concat('a', \"b\", 3)", "ab3"),
            ("starts-with('abc', 'ab')", "true"),
            ("contains('abc', 'z')", "false"),
            ("substring-before('a=b', '=')", "a"),
            ("substring-after('a=b', '=')", "b"),
            ("substring('12345', 2, 3)", "234"),
            ("string-length('héé')", "3"),
            ("normalize-space('  a  b ')", "a b"),
            ("translate('bar', 'abc', 'AB')", "BAr"),
            ("name(/*)", "o:values"),
            ("local-name(//@index)", "index"),
            ("namespace-uri(/*)", "urn:o"),
            ("number('x')", "NaN"),
            ("round(2.5)", "3"),
            ("floor(-1.5)", "-2"),
            ("ceiling(1.2)", "2"),
            ("1 div 0", "Infinity"),
            ("//comment()", " between "),
            ("//processing-instruction()", ""),
            ("id('x')", ""),
            ("$missing", "error"),
        ] {
            let found = ask(expression);
            let found = if found.starts_with("error") { "error" } else { &found };
            assert_eq!(found, expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
        let nested = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        for text in ["", "/", "//", "a[", "a]", "a b", "@", "$", "f(", "1 +", "'a", "nothing::a", deep.as_str(), nested.as_str()]
        {
            let parsed = XPath::parse(text);
            assert!(parsed.is_err() || text == "/", "{text}");
        }
    }

    #[test]
    fn nothing_takes_more_than_its_budget() {
        let flat = |count: usize| format!("<r>{}</r>", "<a>1</a>".repeat(count));
        let deep = format!("{}x{}", "<a>".repeat(250), "</a>".repeat(250));
        for (document, expression) in [
            (flat(11_000), "//a/following-sibling::a"),
            (flat(11_000), "//a/preceding::a"),
            (flat(11_000), "//a[count(../a) = 3]"),
            (flat(11_000), "//a[. = //a[last()]][//a = 7]"),
            (flat(2_000), "//*[//*[//*[//*]]]"),
            (flat(11_000), "//a/../a/../a/../a/../a | //a[following::a = preceding::a]"),
            (flat(20_000), "count(//a[sum(//a) > 3])"),
            (format!("<r>{}<t>{}</t></r>", "<a/>".repeat(10_000), "x".repeat(1 << 20)), "//a[string(/) = 'y']"),
            (format!("<r>{}</r>", deep.repeat(40)), "//a//a//a//a"),
            (format!("<r>{}</r>", deep.repeat(40)), "//a/ancestor::a/descendant::a/ancestor::a"),
            (format!("<r><t>{}</t></r>", "x".repeat(1 << 20)), "concat(/, /, /, /, /, /, /, /, /, /, /)"),
        ] {
            let parsed = crate::data::xml::parse(&document).unwrap();
            let answer = XPath::parse(expression).unwrap().evaluate(&parsed, &none(), &none(), &Budget::of(400_000, 4 << 20));
            let reason = answer.expect_err(expression);
            assert!(reason.starts_with("the evaluation "), "{expression}: {reason}");
        }
    }

    #[test]
    fn comparing_and_translating_are_linear() {
        let document = format!("<r>{}{}</r>", "<a>1</a>".repeat(30_000), "<b>2</b>".repeat(30_000));
        let long = format!("<r>{}</r>", "xyz".repeat(300_000));
        for (document, expression, expected) in [
            (&document, "//a = //b", "false"),
            (&document, "//a != //b", "true"),
            (&document, "//a > //b", "false"),
            (&document, "//a < //b", "true"),
            (&long, "string-length(translate(/, /, /))", "900000"),
            (&long, "contains(/, concat(/, 'x'))", "false"),
            (&long, "string-length(normalize-space(/))", "900000"),
        ] {
            let parsed = crate::data::xml::parse(document).unwrap();
            let answer = XPath::parse(expression).unwrap().evaluate(&parsed, &none(), &none(), &whole());
            let answer = match answer.unwrap() {
                Answer::Boolean(truth) => truth.to_string(),
                Answer::Text(text) => text,
                Answer::Nodes(_) | Answer::Each(_) => String::new(),
            };
            assert_eq!(answer, expected, "{expression}");
        }
    }

    #[test]
    fn expressions_fit_the_stack_of_a_thread() {
        let chain = |text: &str, count: usize| vec![text; count].join("=");
        let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
        let texts = [
            chain("1", 2000),
            chain("1", 120),
            "-".repeat(4000) + "1",
            "-".repeat(MAX_NESTING) + "1",
            nested(MAX_NESTING),
            format!("{}a{}", "a[".repeat(MAX_NESTING), "]".repeat(MAX_NESTING)),
            format!("{}1{}", "not(".repeat(MAX_NESTING), ")".repeat(MAX_NESTING)),
            "a/".repeat(2000) + "a",
            "a|".repeat(2000) + "a",
        ];
        // The threads of the server and of long evaluations have two megabytes of stack.
        let evaluated = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let document = crate::data::xml::parse("<a><a/></a>").unwrap();
            let evaluate = |path: &XPath| path.evaluate(&document, &none(), &none(), &whole()).is_ok();
            texts.iter().filter_map(|text| XPath::parse(text).ok()).filter(&evaluate).count()
        });
        assert_eq!(evaluated.unwrap().join().unwrap(), 6);
    }

    #[test]
    fn prefixes_are_seen() {
        assert_eq!(prefixes("/a:b/child::c:d[@e:f = 'g:h' and $i:j]/k/l-m.n:*"), ["a", "c", "e", "l-m.n"]);
    }

    #[test]
    fn markup_keeps_its_namespaces() {
        let document = crate::data::xml::parse(DOCUMENT).unwrap();
        let answer = XPath::parse("(//*[local-name()='token'])[1]").unwrap().evaluate(&document, &none(), &none(), &whole());
        let Ok(Answer::Nodes(nodes)) = answer else { panic!() };
        let again = crate::data::xml::parse(&nodes[0].1).unwrap();
        assert_eq!(again.root_element().tag_name().namespace(), Some("urn:d"));
        assert_eq!(again.root_element().text(), Some("a&b"));
    }
}
