//! Runs templates and their instructions. Bodies within each other use the stack, so each instruction is a function of its own.

use super::run::{Held, Run};
use super::tree::{self, Element, Item};
use super::{Body, Expr, Instruction, Literal, Name, Naming, Template};
use crate::data::xml::is_name;
use crate::data::xml::tree::Node;
use crate::data::xml::xpath::evaluate::{At, Value, Wrong};

/// Bytes that a node counts for, beside its text.
const NODE: usize = 16;

type Made = Vec<Item>;

impl<'a, 's> Run<'a, 's> {
    pub(super) fn body(&self, body: &'s Body, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        self.within(|| body.iter().try_for_each(|instruction| self.instruction(instruction, at, out)))
    }

    fn instruction(&self, instruction: &'s Instruction, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        self.budget.spend(1)?;
        match instruction {
            Instruction::Text(text) => self.push_text(text.clone(), out),
            Instruction::Value(expr) => self.push_text(self.text(expr, at)?, out),
            Instruction::Literal(literal) => self.literal(literal, at, out),
            Instruction::Element(naming, body) => self.element(naming, body, at, out),
            Instruction::Attribute(naming, body) => self.attribute(naming, body, at, out),
            Instruction::ForEach { select, sorts, body } => {
                let nodes = self.sorted(self.nodes(select, at)?, sorts, at)?;
                self.for_each(nodes, &mut |at| self.body(body, at, out))
            }
            Instruction::Apply { select, mode, sorts, params } => {
                let nodes = match select {
                    Some(select) => self.nodes(select, at)?,
                    None => children(at.node),
                };
                let nodes = self.sorted(nodes, sorts, at)?;
                let params = self.given(params, at)?;
                self.for_each(nodes, &mut |at| self.apply_one(at, mode.as_deref(), &params, out))
            }
            Instruction::Call { template, params } => {
                let params = self.given(params, at)?;
                let template =
                    self.sheet.templates.get(*template).ok_or("the stylesheet calls a template that does not exist")?;
                self.template(template, at, &params, out)
            }
            Instruction::Copy(body) => self.copy(body, at, out),
            Instruction::CopyOf(expr) => self.copy_of(expr, at, out),
            Instruction::Variable(binding) => {
                let held = self.held(&binding.value, at)?;
                self.declare(&binding.name, held);
                Ok(())
            }
            Instruction::Choose(arms, otherwise) => {
                for (test, body) in arms {
                    if self.value(test, at)?.truth() {
                        return self.body(body, at, out);
                    }
                }
                self.body(otherwise, at, out)
            }
        }
    }

    fn for_each(&self, nodes: Vec<Node<'a>>, run: &mut dyn FnMut(At<'a>) -> Result<(), Wrong>) -> Result<(), Wrong> {
        let size = nodes.len();
        nodes.into_iter().enumerate().try_for_each(|(before, node)| run(At { node, position: before + 1, size }))
    }

    /// Applies the template that is for a node, or what is built in.
    pub(super) fn apply_one(
        &self,
        at: At<'a>,
        mode: Option<&'s str>,
        params: &[(&'s str, Held<'a>)],
        out: &mut Made,
    ) -> Result<(), Wrong> {
        for rule in self.sheet.rules.iter().filter(|rule| rule.mode.as_deref() == mode) {
            if self.matches(&rule.pattern, at.node)?
                && let Some(template) = self.sheet.templates.get(rule.template)
            {
                return self.template(template, at, params, out);
            }
        }
        match at.node {
            Node::Tree(node) if node.is_root() || node.is_element() => {
                self.within(|| self.for_each(children(at.node), &mut |at| self.apply_one(at, mode, &[], out)))
            }
            Node::Tree(node) if !node.is_text() => Ok(()),
            Node::Namespace(..) => Ok(()),
            Node::Tree(_) | Node::Attribute(..) => self.push_text(at.node.text(self.budget)?, out),
        }
    }

    fn template(&self, template: &'s Template, at: At<'a>, params: &[(&'s str, Held<'a>)], out: &mut Made) -> Result<(), Wrong> {
        self.framed(|| {
            for param in &template.params {
                let given = params.iter().rev().find(|(name, _)| *name == param.name).map(|(_, held)| held.clone());
                let held = match given {
                    Some(held) => held,
                    None => self.held(&param.value, at)?,
                };
                self.declare(&param.name, held);
            }
            self.body(&template.body, at, out)
        })
    }

    /// Adds text to what was made.
    fn push_text(&self, text: String, out: &mut Made) -> Result<(), Wrong> {
        if text.is_empty() {
            return Ok(());
        }
        self.budget.produce(NODE + text.len())?;
        match out.last_mut() {
            Some(Item::Text(last)) => last.push_str(&text),
            _ => out.push(Item::Text(text)),
        }
        Ok(())
    }

    fn push(&self, item: Item, bytes: usize, out: &mut Made) -> Result<(), Wrong> {
        self.budget.produce(NODE + bytes)?;
        out.push(item);
        Ok(())
    }

    #[inline(never)]
    fn literal(&self, literal: &'s Literal, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        let mut made = Vec::new();
        for (name, pieces) in &literal.attributes {
            let value = self.pieces(pieces, at)?;
            self.push(Item::Attribute(name.clone(), value.clone()), value.len(), &mut made)?;
        }
        self.body(&literal.body, at, &mut made)?;
        let element = Element::new(literal.name.clone(), literal.namespaces.clone(), made)?;
        self.push(Item::Element(Box::new(element)), 0, out)
    }

    #[inline(never)]
    fn element(&self, naming: &'s Naming, body: &'s Body, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        let name = self.name(naming, true, at)?;
        let made = self.made(body, at)?;
        self.push(Item::Element(Box::new(Element::new(name, Vec::new(), made)?)), 0, out)
    }

    #[inline(never)]
    fn attribute(&self, naming: &'s Naming, body: &'s Body, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        let name = self.name(naming, false, at)?;
        if name.local == "xmlns" && name.prefix.is_empty() {
            return Err("the stylesheet makes an attribute named `xmlns`");
        }
        let value = tree::text(&self.made(body, at)?);
        let bytes = value.len();
        self.push(Item::Attribute(name, value), bytes, out)
    }

    fn name(&self, naming: &'s Naming, element: bool, at: At<'a>) -> Result<Name, Wrong> {
        let text = self.pieces(&naming.name, at)?;
        let (prefix, local) = text.split_once(':').unwrap_or(("", &text));
        if !is_name(local) || !(prefix.is_empty() && !text.starts_with(':') || is_name(prefix)) {
            return Err("the stylesheet makes a name that XML does not allow");
        }
        let namespace = match &naming.namespace {
            Some(pieces) => Some(self.pieces(pieces, at)?),
            None if prefix == "xml" => Some("http://www.w3.org/XML/1998/namespace".to_owned()),
            None if prefix.is_empty() => naming.scope.get("").filter(|_| element).cloned(),
            None => Some(naming.scope.get(prefix).ok_or("the stylesheet makes a name whose prefix has no namespace")?.clone()),
        };
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        let prefix = if namespace.is_some() && prefix != "xmlns" { prefix } else { "" };
        Ok(Name { prefix: prefix.to_owned(), local: local.to_owned(), namespace })
    }

    #[inline(never)]
    fn copy(&self, body: &'s Body, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        match at.node {
            Node::Tree(node) if node.is_root() => self.body(body, at, out),
            Node::Tree(node) if node.is_element() => {
                let made = self.made(body, at)?;
                let element = Element::new(name_of(at.node), namespaces(at.node), made)?;
                self.push(Item::Element(Box::new(element)), 0, out)
            }
            node => self.copy_node(node, out),
        }
    }

    #[inline(never)]
    fn copy_of(&self, expr: &Expr, at: At<'a>, out: &mut Made) -> Result<(), Wrong> {
        if let Some(made) = self.made_for(expr) {
            self.budget.spend(tree::count(&made))?;
            self.budget.produce(usize::try_from(tree::count(&made)).unwrap_or(usize::MAX).saturating_mul(NODE))?;
            self.budget.produce(tree::text(&made).len())?;
            for item in made.iter() {
                match item {
                    Item::Text(text) => self.push_text(text.clone(), out)?,
                    other => out.push(other.clone()),
                }
            }
            return Ok(());
        }
        match self.value(expr, at)? {
            Value::Nodes(nodes) => nodes.into_iter().try_for_each(|node| self.copy_node(node, out)),
            other => self.push_text(self.text_of(other)?, out),
        }
    }

    /// Copies a node with everything in it. A document is at most so deep that this fits on the stack.
    fn copy_node(&self, node: Node<'a>, out: &mut Made) -> Result<(), Wrong> {
        self.budget.spend(1)?;
        let tree = match node {
            Node::Attribute(_, _, own) => {
                return self.push(Item::Attribute(name_of(node), own.value().to_owned()), own.value().len(), out);
            }
            Node::Namespace(..) => return Ok(()),
            Node::Tree(tree) => tree,
        };
        if tree.is_root() {
            return children(node).into_iter().try_for_each(|child| self.copy_node(child, out));
        }
        if tree.is_element() {
            let mut made = Vec::new();
            node.attributes().chain(children(node)).try_for_each(|inner| self.copy_node(inner, &mut made))?;
            let element = Element::new(name_of(node), namespaces(node), made)?;
            return self.push(Item::Element(Box::new(element)), 0, out);
        }
        if let Some(pi) = tree.pi() {
            let value = pi.value.unwrap_or("").to_owned();
            let bytes = value.len();
            return self.push(Item::Instruction(pi.target.to_owned(), value), bytes, out);
        }
        let text = tree.text().unwrap_or("").to_owned();
        if tree.is_comment() {
            let bytes = text.len();
            return self.push(Item::Comment(text), bytes, out);
        }
        self.push_text(text, out)
    }
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    match node {
        Node::Tree(node) => node.children().map(Node::Tree).collect(),
        Node::Attribute(..) | Node::Namespace(..) => Vec::new(),
    }
}

fn name_of(node: Node<'_>) -> Name {
    let (namespace, local) = node.name().unwrap_or((None, ""));
    let qualified = node.qualified_name();
    let prefix = qualified.strip_suffix(local).and_then(|prefix| prefix.strip_suffix(':')).unwrap_or("");
    Name { prefix: prefix.to_owned(), local: local.to_owned(), namespace: namespace.map(str::to_owned) }
}

fn namespaces(node: Node<'_>) -> Vec<(String, String)> {
    let Node::Tree(node) = node else { return Vec::new() };
    let all = node.namespaces().map(|own| (own.name().unwrap_or("").to_owned(), own.uri().to_owned()));
    all.filter(|(prefix, uri)| prefix != "xml" && !uri.is_empty()).collect()
}
