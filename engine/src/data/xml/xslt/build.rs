//! Builds the instructions of a template.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roxmltree::Node;

use super::read::{Read, Reader, is_xsl};
use super::{Binding, Body, Expr, Instruction, Literal, Name, Namespaces, Naming, Piece, Pieces, Sort, Source};
use crate::data::xml::xpath::functions::arguments;
use crate::data::xml::xpath::pattern::{Named, names};

/// Functions of XSLT, with their least and greatest number of arguments.
const FUNCTIONS: [(&str, usize, usize); 3] = [("current", 0, 0), ("key", 2, 2), ("generate-id", 0, 1)];

type El<'d> = Node<'d, 'd>;

/// Builds one template, key or variable.
pub(super) struct Builder<'b, 'd> {
    reader: Reader<'d>,
    named: &'b BTreeMap<String, usize>,
    keys: &'b BTreeSet<String>,
    /// Prefixes that do not get into the result.
    excluded: &'b BTreeSet<String>,
    /// Variables that an expression can use now.
    pub(super) variables: BTreeSet<String>,
}

impl<'b, 'd> Builder<'b, 'd> {
    pub(super) fn new(
        reader: Reader<'d>,
        named: &'b BTreeMap<String, usize>,
        keys: &'b BTreeSet<String>,
        excluded: &'b BTreeSet<String>,
        variables: BTreeSet<String>,
    ) -> Self {
        Builder { reader, named, keys, excluded, variables }
    }

    /// The parameters and the body of a template.
    pub(super) fn template(&mut self, node: El<'d>) -> Read<(Vec<Binding>, Body)> {
        let mut params = Vec::new();
        let mut rest = Vec::new();
        for child in content(node) {
            if is_xsl(child) && child.tag_name().name() == "param" && rest.is_empty() {
                let binding = self.binding(child)?;
                self.variables.insert(binding.name.clone());
                params.push(binding);
            } else {
                rest.push(child);
            }
        }
        Ok((params, self.children(rest)?))
    }

    /// An `xsl:variable`, `xsl:param` or `xsl:with-param`.
    pub(super) fn binding(&mut self, node: El<'d>) -> Read<Binding> {
        self.reader.attributes(node, &["name", "select"])?;
        let name = self.reader.variable(node)?;
        let is_param = node.tag_name().name() == "param";
        let value = match node.attribute("select") {
            Some(select) => {
                self.reader.empty(node)?;
                Source::Select(self.expr(node, select)?)
            }
            None => Source::Body(self.body(node)?),
        };
        Ok(Binding { name, value, is_param })
    }

    /// The content of an element. Variables that it declares end with it.
    fn body(&mut self, node: El<'d>) -> Read<Body> {
        self.children(content(node).collect())
    }

    fn children(&mut self, nodes: Vec<El<'d>>) -> Read<Body> {
        let outside = self.variables.clone();
        let mut declared = BTreeSet::new();
        let mut body = Vec::new();
        for node in nodes {
            let made = self.instruction(node)?;
            if let Instruction::Variable(binding) = &made {
                if !declared.insert(binding.name.clone()) {
                    return Err(self.reader.refuse(node, format!("there are two variables named `{}`", binding.name)));
                }
                self.variables.insert(binding.name.clone());
            }
            body.push(made);
        }
        self.variables = outside;
        Ok(body)
    }

    fn instruction(&mut self, node: El<'d>) -> Read<Instruction> {
        if node.is_text() {
            return Ok(Instruction::Text(node.text().unwrap_or("").to_owned()));
        }
        if !is_xsl(node) {
            return self.literal(node);
        }
        let reader = self.reader;
        Ok(match node.tag_name().name() {
            "text" => {
                reader.attributes(node, &[])?;
                if let Some(child) = node.children().find(|child| child.is_element()) {
                    return Err(reader.refuse(child, "`xsl:text` has only text"));
                }
                Instruction::Text(node.children().filter_map(|child| child.text()).collect())
            }
            "value-of" => {
                reader.attributes(node, &["select"])?;
                reader.empty(node)?;
                Instruction::Value(self.expr(node, reader.needed(node, "select")?)?)
            }
            "copy-of" => {
                reader.attributes(node, &["select"])?;
                reader.empty(node)?;
                Instruction::CopyOf(self.expr(node, reader.needed(node, "select")?)?)
            }
            "copy" => {
                reader.attributes(node, &[])?;
                Instruction::Copy(self.body(node)?)
            }
            "element" => Instruction::Element(Box::new(self.naming(node)?), self.body(node)?),
            "attribute" => Instruction::Attribute(Box::new(self.naming(node)?), self.body(node)?),
            "variable" => Instruction::Variable(self.binding(node)?),
            "for-each" => {
                reader.attributes(node, &["select"])?;
                let select = self.expr(node, reader.needed(node, "select")?)?;
                let (sorts, rest) = self.sorts(node)?;
                Instruction::ForEach { select, sorts, body: self.children(rest)? }
            }
            "apply-templates" => {
                reader.attributes(node, &["select", "mode"])?;
                let select = node.attribute("select").map(|select| self.expr(node, select)).transpose()?;
                let (sorts, rest) = self.sorts(node)?;
                let mode = node.attribute("mode").map(str::to_owned);
                Instruction::Apply { select, mode, sorts, params: self.params(rest)? }
            }
            "call-template" => {
                reader.attributes(node, &["name"])?;
                let name = reader.needed(node, "name")?;
                let template =
                    *self.named.get(name).ok_or_else(|| reader.refuse(node, format!("there is no template named `{name}`")))?;
                let params = self.params(content(node).collect())?;
                Instruction::Call { template, params }
            }
            "if" => {
                reader.attributes(node, &["test"])?;
                let test = self.expr(node, reader.needed(node, "test")?)?;
                Instruction::Choose(vec![(test, self.body(node)?)], Vec::new())
            }
            "choose" => self.choose(node)?,
            other => return Err(reader.refuse(node, format!("`xsl:{other}` is not supported"))),
        })
    }

    fn choose(&mut self, node: El<'d>) -> Read<Instruction> {
        let reader = self.reader;
        reader.attributes(node, &[])?;
        let (mut arms, mut otherwise) = (Vec::new(), None);
        for child in reader.elements(node)? {
            match child.tag_name().name() {
                "when" if otherwise.is_none() => {
                    reader.attributes(child, &["test"])?;
                    let test = self.expr(child, reader.needed(child, "test")?)?;
                    arms.push((test, self.body(child)?));
                }
                "otherwise" if otherwise.is_none() => {
                    reader.attributes(child, &[])?;
                    otherwise = Some(self.body(child)?);
                }
                other => return Err(reader.refuse(child, format!("`xsl:{other}` cannot stand here"))),
            }
        }
        if arms.is_empty() {
            return Err(reader.refuse(node, "`xsl:choose` has no `xsl:when`"));
        }
        Ok(Instruction::Choose(arms, otherwise.unwrap_or_default()))
    }

    fn params(&mut self, nodes: Vec<El<'d>>) -> Read<Vec<Binding>> {
        let mut params = Vec::new();
        for node in nodes {
            if !is_xsl(node) || node.tag_name().name() != "with-param" {
                return Err(self.reader.refuse(node, "only `xsl:sort` and `xsl:with-param` can stand here"));
            }
            params.push(self.binding(node)?);
        }
        Ok(params)
    }

    /// What an element sorts by, and what stands after that.
    fn sorts(&mut self, node: El<'d>) -> Read<(Vec<Sort>, Vec<El<'d>>)> {
        let reader = self.reader;
        let (mut sorts, mut rest) = (Vec::new(), Vec::new());
        for child in content(node) {
            if !is_xsl(child) || child.tag_name().name() != "sort" {
                rest.push(child);
                continue;
            }
            if !rest.is_empty() {
                return Err(reader.refuse(child, "`xsl:sort` stands before everything else"));
            }
            reader.attributes(child, &["select", "order", "data-type", "case-order", "lang"])?;
            reader.empty(child)?;
            let numbers = match child.attribute("data-type") {
                None | Some("text") => false,
                Some("number") => true,
                Some(other) => return Err(reader.refuse(child, format!("the data type `{other}` is not supported"))),
            };
            let upper_first = match child.attribute("case-order") {
                None | Some("lower-first") => false,
                Some("upper-first") => true,
                Some(other) => return Err(reader.refuse(child, format!("`{other}` is no order of cases"))),
            };
            let order = child.attribute("order").unwrap_or("ascending");
            if !order.contains('{') && !matches!(order, "ascending" | "descending") {
                return Err(reader.refuse(child, format!("`{order}` is no order: `ascending` and `descending` are")));
            }
            sorts.push(Sort {
                value: self.expr(child, child.attribute("select").unwrap_or("."))?,
                descending: self.pieces(child, order)?,
                numbers,
                upper_first,
            });
        }
        Ok((sorts, rest))
    }

    fn naming(&mut self, node: El<'d>) -> Read<Naming> {
        self.reader.attributes(node, &["name", "namespace"])?;
        let name = self.pieces(node, self.reader.needed(node, "name")?)?;
        let namespace = node.attribute("namespace").map(|text| self.pieces(node, text)).transpose()?;
        let all = node.namespaces().map(|own| (own.name().unwrap_or("").to_owned(), own.uri().to_owned()));
        Ok(Naming { name, namespace, scope: Arc::new(all.collect()) })
    }

    fn literal(&mut self, node: El<'d>) -> Read<Instruction> {
        let name = self.name(node, node.tag_name().namespace(), node.tag_name().name());
        let namespaces = node
            .namespaces()
            .map(|own| (own.name().unwrap_or("").to_owned(), own.uri().to_owned()))
            .filter(|(prefix, uri)| prefix != "xml" && uri != super::XSL && !self.excluded.contains(prefix))
            .filter(|(prefix, uri)| !(uri.is_empty() || prefix.is_empty() && self.excluded.contains("#default")))
            .collect();
        let mut attributes = Vec::new();
        for attribute in node.attributes() {
            if attribute.namespace() == Some(super::XSL) {
                return Err(self.reader.refuse(node, format!("`xsl:{}` is not supported at an element", attribute.name())));
            }
            let name = self.name(node, attribute.namespace(), attribute.name());
            attributes.push((name, self.pieces(node, attribute.value())?));
        }
        Ok(Instruction::Literal(Box::new(Literal { name, namespaces, attributes, body: self.body(node)? })))
    }

    fn name(&self, node: El<'d>, namespace: Option<&str>, local: &str) -> Name {
        let prefix = namespace.and_then(|uri| node.lookup_prefix(uri)).unwrap_or("");
        Name { prefix: prefix.to_owned(), local: local.to_owned(), namespace: namespace.map(str::to_owned) }
    }

    /// A text with expressions between braces; doubled braces are braces.
    fn pieces(&mut self, node: El<'d>, text: &str) -> Read<Pieces> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = tail.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = tail.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let inside =
                    tail.strip_prefix('{').ok_or_else(|| self.reader.refuse(node, format!("`{text}` has a `}}` too many")))?;
                let end =
                    closing(inside).ok_or_else(|| self.reader.refuse(node, format!("`{text}` has a `{{` without its `}}`")))?;
                let (expression, after) = inside.split_at(end);
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Value(self.expr(node, expression)?));
                rest = after.get(1..).unwrap_or("");
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(pieces)
    }

    /// An expression whose names are all known.
    pub(super) fn expr(&mut self, node: El<'d>, text: &str) -> Read<Expr> {
        let reader = self.reader;
        let xpath = reader.parse(node, text)?;
        let namespaces: Namespaces =
            Arc::new(node.namespaces().filter_map(|own| Some((own.name()?.to_owned(), own.uri().to_owned()))).collect());
        let mut wrong = None;
        names(xpath.expr(), &mut |named| {
            let why = match named {
                Named::Variable(name) => {
                    let name = name.prefix.iter().map(|prefix| format!("{prefix}:")).collect::<String>() + &name.local;
                    (!self.variables.contains(&name)).then(|| format!("there is no variable `{name}` here"))
                }
                Named::Prefix(prefix) => {
                    let known = prefix == "xml" || namespaces.contains_key(prefix);
                    (!known).then(|| format!("the prefix `{prefix}` has no namespace"))
                }
                Named::Function(call) => {
                    let name = call.name.local.as_str();
                    let own = FUNCTIONS.iter().find(|(own, ..)| *own == name).map(|(_, least, most)| (*least, *most));
                    match own.or_else(|| arguments(name)).filter(|_| call.name.prefix.is_none()) {
                        None => Some(format!("the function `{name}` is not supported")),
                        Some((least, most)) if call.args.len() < least || call.args.len() > most => {
                            Some(format!("`{name}` has the wrong number of arguments"))
                        }
                        Some(_) => None,
                    }
                }
            };
            wrong = wrong.take().or(why);
        });
        if let Some(name) = key_without_declaration(&xpath, self.keys) {
            wrong.get_or_insert(format!("there is no key named `{name}`"));
        }
        match wrong {
            Some(why) => Err(reader.refuse(node, why)),
            None => Ok(Expr { xpath, namespaces }),
        }
    }
}

/// The name of a key that an expression spells out and that nothing declares.
fn key_without_declaration(xpath: &super::XPath, keys: &BTreeSet<String>) -> Option<String> {
    use xpath_eval::{Expr as E, FilterExpr, PathExpr, PrimaryExpr};
    let mut missing = None;
    names(xpath.expr(), &mut |named| {
        if let Named::Function(call) = named
            && call.name.local == "key"
            && let Some(E::Path(PathExpr::Filter(FilterExpr { primary: PrimaryExpr::Literal(name), .. }))) = call.args.first()
            && !keys.contains(name)
        {
            missing = Some(name.clone());
        }
    });
    missing
}

/// Where the expression in braces ends: at the first brace outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// What an element holds, without comments and without texts of blanks.
fn content<'d>(node: El<'d>) -> impl Iterator<Item = El<'d>> {
    let blank = |child: &El<'d>| child.text().unwrap_or("").chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    node.children().filter(move |child| child.is_element() || child.is_text() && !blank(child))
}

/// Whether a text can name a variable.
pub(super) fn is_variable_name(name: &str) -> bool {
    let mut parts = name.split(':');
    let named = |part: Option<&str>| part.is_some_and(crate::data::xml::is_name);
    named(parts.next()) && parts.next().is_none_or(crate::data::xml::is_name) && parts.next().is_none()
}
