//! XPath 1.0 expressions: read once, evaluated on documents.

use std::collections::BTreeMap;

use xpath_eval::{EvaluationContext, Expr, QName, Value as Found, evaluate};

use super::tree::Node;

/// Longest expression.
const MAX_LENGTH: usize = 4096;
/// Deepest nesting of parentheses and predicates: the parser follows them by recursion.
const MAX_NESTING: usize = 64;

/// An expression.
pub struct XPath(Expr);

/// What an expression gives.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Nodes: the text and the markup of each.
    Nodes(Vec<(String, String)>),
    /// Truth.
    Boolean(bool),
    /// A number or a text, as text.
    Text(String),
}

impl XPath {
    /// Reads an expression; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<XPath, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("it is longer than {MAX_LENGTH} characters"));
        }
        let mut depth = 0_usize;
        for (c, quoted) in outside_quotes(text) {
            match c {
                _ if quoted => {}
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING {
                return Err("it is nested too deep".to_owned());
            }
        }
        xpath_eval::parse(text).map(XPath).map_err(|error| error.message)
    }

    /// Evaluates at the root of a document.
    pub fn evaluate(
        &self,
        document: &roxmltree::Document<'_>,
        namespaces: &BTreeMap<String, String>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Answer, String> {
        let variable = |name: &QName| {
            let name = match &name.prefix {
                Some(prefix) => format!("{prefix}:{}", name.local),
                None => name.local.clone(),
            };
            variables.get(&name).map(|text| Found::String(text.clone()))
        };
        let namespace = |prefix: &str| match prefix {
            "xml" => Some("http://www.w3.org/XML/1998/namespace".to_owned()),
            prefix => namespaces.get(prefix).cloned(),
        };
        let mut context = EvaluationContext::new(Node::Tree(document.root()));
        context.variables = Some(&variable);
        context.namespaces = Some(&namespace);
        match evaluate(&self.0, &context).map_err(|error| error.to_string())? {
            Found::NodeSet(mut nodes) => {
                use xpath_eval::Node as _;
                nodes.sort_by(|a, b| a.document_order(*b));
                Ok(Answer::Nodes(nodes.into_iter().map(|node| (node.string_value(), node.markup())).collect()))
            }
            Found::Boolean(truth) => Ok(Answer::Boolean(truth)),
            other => Ok(Answer::Text(other.to_xpath_string())),
        }
    }
}

/// The prefixes that an expression uses, so that one without a namespace is found when the policy loads.
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

/// Characters, each with whether it stands in a literal.
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

    fn ask(expression: &str) -> String {
        let document = crate::xml::parse(DOCUMENT).unwrap();
        let namespaces = BTreeMap::from([("v".to_owned(), "urn:o".to_owned()), ("d".to_owned(), "urn:d".to_owned())]);
        let variables =
            BTreeMap::from([("wanted.index".to_owned(), "2' or '1'='1".to_owned()), ("n".to_owned(), "2".to_owned())]);
        match XPath::parse(expression).unwrap().evaluate(&document, &namespaces, &variables) {
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
    fn prefixes_are_seen() {
        assert_eq!(prefixes("/a:b/child::c:d[@e:f = 'g:h' and $i:j]/k/l-m.n:*"), ["a", "c", "e", "l-m.n"]);
    }

    #[test]
    fn markup_keeps_its_namespaces() {
        let document = crate::xml::parse(DOCUMENT).unwrap();
        let answer =
            XPath::parse("(//*[local-name()='token'])[1]").unwrap().evaluate(&document, &BTreeMap::new(), &BTreeMap::new());
        let Ok(Answer::Nodes(nodes)) = answer else { panic!() };
        let again = crate::xml::parse(&nodes[0].1).unwrap();
        assert_eq!(again.root_element().tag_name().namespace(), Some("urn:d"));
        assert_eq!(again.root_element().text(), Some("a&b"));
    }
}
