//! Reads a stylesheet: its templates, keys, variables and output. Everything that this cannot run is refused with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roxmltree::{Document, Node, ParsingOptions};

use super::build::{Builder, is_variable_name};
use super::{Key, MAX_BYTES, MAX_DEPTH, Namespaces, Output, Pattern, Refused, Rule, Stylesheet, Template, XSL};
use crate::data::xml::gate;
use crate::data::xml::xpath::XPath;
use crate::data::xml::xpath::pattern::{alternatives, priority};

pub(super) type Read<T> = Result<T, Refused>;

impl Stylesheet {
    /// Reads a stylesheet.
    pub fn read(text: &str) -> Read<Stylesheet> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let at_start = |why: String| Refused { line: 1, why };
        if text.len() > MAX_BYTES {
            return Err(at_start(format!("it is longer than {} KiB", MAX_BYTES >> 10)));
        }
        gate::check(text).map_err(|why| at_start(why.to_owned()))?;
        let options = ParsingOptions { allow_dtd: false, nodes_limit: gate::MAX_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options)
            .map_err(|error| Refused { line: error.pos().row, why: format!("it is no XML: {error}") })?;
        Reader { document: &document }.stylesheet()
    }

    /// Whether the result is text without markup.
    pub fn makes_text(&self) -> bool {
        self.output.text
    }
}

/// What the elements of a stylesheet have in common.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d> {
    pub(super) document: &'d Document<'d>,
}

impl<'d> Reader<'d> {
    pub(super) fn refuse(&self, node: Node<'d, 'd>, why: impl Into<String>) -> Refused {
        let blanks = node.text().filter(|_| node.is_text()).map_or(0, |text| text.len() - text.trim_start().len());
        Refused { line: self.document.text_pos_at(node.range().start + blanks).row, why: why.into() }
    }

    fn stylesheet(self) -> Read<Stylesheet> {
        let root = self.document.root_element();
        if !is_xsl(root) || !matches!(root.tag_name().name(), "stylesheet" | "transform") {
            return Err(self.refuse(root, "it does not begin with `xsl:stylesheet`"));
        }
        self.attributes(
            root,
            &["version", "id", "exclude-result-prefixes", "extension-element-prefixes", "xpath-default-namespace"],
        )?;
        match root.attribute("version") {
            Some("1.0") => {}
            Some(other) => return Err(self.refuse(root, format!("it is XSLT {other}; this reads XSLT 1.0"))),
            None => return Err(self.refuse(root, "its `version` is missing")),
        }
        for name in ["extension-element-prefixes", "xpath-default-namespace"] {
            if root.has_attribute(name) {
                return Err(self.refuse(root, format!("there is no `{name}` here")));
            }
        }
        let deepest = |node: Node<'d, 'd>| node.ancestors().count() > MAX_DEPTH;
        if let Some(node) = root.descendants().find(|node| node.is_element() && deepest(*node)) {
            return Err(self.refuse(node, format!("elements are nested deeper than {MAX_DEPTH}")));
        }
        let excluded = root.attribute("exclude-result-prefixes").unwrap_or("").split_whitespace().map(str::to_owned).collect();
        self.parts(root, &excluded)
    }

    fn parts(self, root: Node<'d, 'd>, excluded: &BTreeSet<String>) -> Read<Stylesheet> {
        let parts: Vec<Node<'d, 'd>> = self.elements(root)?;
        let is = |node: &Node<'d, 'd>, name: &str| node.tag_name().name() == name;
        // Names of templates and of variables outside of them can be used before they are declared.
        let mut named = BTreeMap::new();
        let mut globals = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for (at, part) in parts.iter().filter(|part| is(part, "template")).enumerate() {
            if let Some(name) = part.attribute("name")
                && named.insert(name.to_owned(), at).is_some()
            {
                return Err(self.refuse(*part, format!("there are two templates named `{name}`")));
            }
        }
        for part in &parts {
            let name = part.attribute("name").unwrap_or("").to_owned();
            match part.tag_name().name() {
                "variable" | "param" if !globals.insert(name.clone()) => {
                    return Err(self.refuse(*part, format!("there are two variables named `{name}`")));
                }
                "key" => drop(keys.insert(name)),
                _ => {}
            }
        }
        let mut sheet = Stylesheet {
            templates: Vec::new(),
            rules: Vec::new(),
            globals: Vec::new(),
            keys: Vec::new(),
            output: Output::default(),
        };
        let mut known = BTreeSet::new();
        for part in parts {
            let mut builder = Builder::new(self, &named, &keys, excluded, globals.clone());
            match part.tag_name().name() {
                "template" => self.template(part, &mut builder, &mut sheet)?,
                "key" => self.key(part, &mut builder, &mut sheet)?,
                "output" => self.output(part, &mut sheet.output)?,
                "variable" | "param" => {
                    // A value may use what stands before it.
                    builder.variables = known.clone();
                    let binding = builder.binding(part)?;
                    known.insert(binding.name.clone());
                    sheet.globals.push(binding);
                }
                "import" | "include" => return Err(self.refuse(part, "other stylesheets are not read: put it into this one")),
                other => return Err(self.refuse(part, format!("`xsl:{other}` is not supported"))),
            }
        }
        // A higher priority comes first; of equals, what stands last.
        sheet.rules.reverse();
        sheet.rules.sort_by(|left, right| right.priority.total_cmp(&left.priority));
        Ok(sheet)
    }

    fn template(self, node: Node<'d, 'd>, builder: &mut Builder<'_, 'd>, sheet: &mut Stylesheet) -> Read<()> {
        self.attributes(node, &["match", "name", "priority", "mode"])?;
        let given = match node.attribute("priority") {
            Some(text) => Some(
                text.trim()
                    .parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite())
                    .ok_or_else(|| self.refuse(node, format!("`{text}` is no priority")))?,
            ),
            None => None,
        };
        let at = sheet.templates.len();
        match node.attribute("match") {
            Some(text) => {
                for pattern in self.patterns(node, text, builder)? {
                    let priority = given.unwrap_or_else(|| priority(&pattern.path));
                    let mode = node.attribute("mode").map(str::to_owned);
                    sheet.rules.push(Rule { pattern, mode, priority, template: at });
                }
            }
            None if node.attribute("name").is_none() => return Err(self.refuse(node, "it has neither `match` nor `name`")),
            None => {}
        }
        let (params, body) = builder.template(node)?;
        sheet.templates.push(Template { params, body });
        Ok(())
    }

    fn key(self, node: Node<'d, 'd>, builder: &mut Builder<'_, 'd>, sheet: &mut Stylesheet) -> Read<()> {
        self.attributes(node, &["name", "match", "use"])?;
        self.empty(node)?;
        let name = self.needed(node, "name")?.to_owned();
        // A key may not depend on variables (XSLT 1.0, section 12.2).
        builder.variables = BTreeSet::new();
        let patterns = self.patterns(node, self.needed(node, "match")?, builder)?;
        let value = builder.expr(node, self.needed(node, "use")?)?;
        sheet.keys.push(Key { name, patterns, value });
        Ok(())
    }

    fn patterns(self, node: Node<'d, 'd>, text: &str, builder: &mut Builder<'_, 'd>) -> Read<Vec<Pattern>> {
        let expr = builder.expr(node, text)?;
        let paths = alternatives(expr.xpath.expr()).ok_or_else(|| self.refuse(node, format!("`{text}` is no pattern")))?;
        let namespaces = |namespaces: &Namespaces| Arc::clone(namespaces);
        Ok(paths.into_iter().map(|path| Pattern { path: path.clone(), namespaces: namespaces(&expr.namespaces) }).collect())
    }

    fn output(self, node: Node<'d, 'd>, output: &mut Output) -> Read<()> {
        let known = ["method", "version", "encoding", "omit-xml-declaration", "standalone", "indent", "media-type"];
        self.attributes(node, &[&known[..], &["cdata-section-elements"]].concat())?;
        self.empty(node)?;
        match node.attribute("method") {
            Some("xml") | None => {}
            Some("text") => output.text = true,
            Some(other) => {
                return Err(self.refuse(node, format!("the output method `{other}` is not supported: `xml` and `text` are")));
            }
        }
        if let Some(encoding) = node.attribute("encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("utf-8")) {
            return Err(self.refuse(node, format!("results are written in UTF-8, not in `{encoding}`")));
        }
        if let Some(word) = node.attribute("omit-xml-declaration") {
            output.omit_declaration = match word {
                "yes" => true,
                "no" => false,
                _ => return Err(self.refuse(node, "`omit-xml-declaration` must be `yes` or `no`")),
            };
        }
        for name in node.attribute("cdata-section-elements").unwrap_or("").split_whitespace() {
            let (prefix, local) = name.split_once(':').map_or((None, name), |(prefix, local)| (Some(prefix), local));
            let namespace = node.lookup_namespace_uri(prefix).map(str::to_owned);
            if prefix.is_some() && namespace.is_none() {
                return Err(self.refuse(node, format!("the prefix of `{name}` has no namespace")));
            }
            output.cdata.push((namespace, local.to_owned()));
        }
        Ok(())
    }

    /// The child elements of an element that holds nothing else.
    pub(super) fn elements(self, node: Node<'d, 'd>) -> Read<Vec<Node<'d, 'd>>> {
        let mut found = Vec::new();
        for child in node.children() {
            if child.is_element() {
                if !is_xsl(child) {
                    let why = format!("`{}` cannot stand here: only instructions can", child.tag_name().name());
                    return Err(self.refuse(child, why));
                }
                found.push(child);
            } else if child.is_text() && child.text().is_some_and(|text| !text.trim().is_empty()) {
                return Err(self.refuse(child, "text cannot stand here"));
            }
        }
        Ok(found)
    }

    pub(super) fn empty(self, node: Node<'d, 'd>) -> Read<()> {
        match node.children().find(|child| child.is_element() || child.is_text()) {
            Some(child) if child.is_element() || !child.text().unwrap_or("").trim().is_empty() => {
                Err(self.refuse(child, format!("`xsl:{}` has no content", node.tag_name().name())))
            }
            _ => Ok(()),
        }
    }

    /// Refuses attributes that an instruction does not have here.
    pub(super) fn attributes(self, node: Node<'d, 'd>, known: &[&str]) -> Read<()> {
        for attribute in node.attributes() {
            let own = attribute.namespace().is_none();
            if attribute.namespace() == Some(XSL) || own && !known.contains(&attribute.name()) {
                let why = format!("`xsl:{}` with `{}` is not supported", node.tag_name().name(), attribute.name());
                return Err(self.refuse(node, why));
            }
        }
        Ok(())
    }

    pub(super) fn needed(self, node: Node<'d, 'd>, name: &str) -> Read<&'d str> {
        node.attribute(name).ok_or_else(|| self.refuse(node, format!("`xsl:{}` lacks `{name}`", node.tag_name().name())))
    }

    /// The name of a variable or parameter.
    pub(super) fn variable(self, node: Node<'d, 'd>) -> Read<String> {
        let name = self.needed(node, "name")?;
        match is_variable_name(name) {
            true => Ok(name.to_owned()),
            false => Err(self.refuse(node, format!("`{name}` cannot name a variable"))),
        }
    }

    pub(super) fn parse(self, node: Node<'d, 'd>, text: &str) -> Read<XPath> {
        XPath::parse(text).map_err(|why| self.refuse(node, format!("`{text}` is no XPath 1.0: {why}")))
    }
}

/// Whether an element is an instruction.
pub(super) fn is_xsl(node: Node<'_, '_>) -> bool {
    node.is_element() && node.tag_name().namespace() == Some(XSL)
}
