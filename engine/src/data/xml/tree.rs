//! A document in XPath's data model (XPath 1.0, section 5). Walking and collecting spend steps of a budget.

use roxmltree::NodeType;

use crate::data::budget::{Budget, Exhausted};

type Element<'a> = roxmltree::Node<'a, 'a>;

/// A node: a tree node, an attribute, or a namespace in scope; the latter two with their index at their element.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Tree(Element<'a>),
    Attribute(Element<'a>, usize, roxmltree::Attribute<'a, 'a>),
    Namespace(Element<'a>, usize, &'a roxmltree::Namespace<'a>),
}

impl<'a> Node<'a> {
    /// Sorts in document order: an element, its namespaces, its attributes, its children.
    pub(super) fn place(self) -> (usize, u8, usize) {
        match self {
            Node::Tree(node) => (node.id().get_usize(), 0, 0),
            Node::Namespace(node, at, _) => (node.id().get_usize(), 1, at),
            Node::Attribute(node, at, _) => (node.id().get_usize(), 2, at),
        }
    }

    /// The element that an attribute or namespace belongs to, or the node itself.
    pub(super) fn owner(self) -> Element<'a> {
        match self {
            Node::Tree(node) | Node::Attribute(node, ..) | Node::Namespace(node, ..) => node,
        }
    }

    pub(super) fn parent(self) -> Option<Node<'a>> {
        match self {
            Node::Tree(node) => node.parent().map(Node::Tree),
            Node::Attribute(node, ..) | Node::Namespace(node, ..) => Some(Node::Tree(node)),
        }
    }

    pub(super) fn attributes(self) -> impl Iterator<Item = Node<'a>> {
        let node = if let Node::Tree(node) = self { Some(node) } else { None };
        node.into_iter()
            .flat_map(|node| node.attributes().enumerate().map(move |(at, attribute)| Node::Attribute(node, at, attribute)))
    }

    pub(super) fn namespaces(self) -> impl Iterator<Item = Node<'a>> {
        let node = if let Node::Tree(node) = self { Some(node).filter(Element::is_element) } else { None };
        node.into_iter()
            .flat_map(|node| node.namespaces().enumerate().map(move |(at, namespace)| Node::Namespace(node, at, namespace)))
    }

    /// Namespace and local name, of what has a name.
    pub(super) fn name(self) -> Option<(Option<&'a str>, &'a str)> {
        match self {
            Node::Attribute(_, _, own) => Some((own.namespace(), own.name())),
            Node::Namespace(_, _, own) => Some((None, own.name().unwrap_or(""))),
            Node::Tree(node) => match node.node_type() {
                NodeType::Element => Some((node.tag_name().namespace(), node.tag_name().name())),
                NodeType::PI => node.pi().map(|pi| (None, pi.target)),
                NodeType::Root | NodeType::Comment | NodeType::Text => None,
            },
        }
    }

    /// The name with its prefix, as the document writes it (XPath 1.0, section 4.1).
    pub(super) fn qualified_name(self) -> String {
        let Some((namespace, local)) = self.name() else { return String::new() };
        let prefix = namespace.and_then(|uri| match self {
            Node::Attribute(node, ..) => node.namespaces().find(|own| own.uri() == uri && own.name().is_some())?.name(),
            _ => self.owner().lookup_prefix(uri),
        });
        match prefix {
            Some(prefix) => format!("{prefix}:{local}"),
            None => local.to_owned(),
        }
    }

    /// The string-value (XPath 1.0, section 5), appended.
    pub(super) fn text(self, budget: &Budget) -> Result<String, Exhausted> {
        let own = match self {
            Node::Attribute(_, _, own) => own.value(),
            Node::Namespace(_, _, own) => own.uri(),
            Node::Tree(node) => match node.node_type() {
                NodeType::Root | NodeType::Element => {
                    let mut out = String::new();
                    for node in node.descendants() {
                        budget.spend(1)?;
                        if let Some(text) = node.text().filter(|_| node.is_text()) {
                            budget.produce(text.len())?;
                            out.push_str(text);
                        }
                    }
                    return Ok(out);
                }
                NodeType::PI => node.pi().and_then(|pi| pi.value).unwrap_or(""),
                NodeType::Comment | NodeType::Text => node.text().unwrap_or(""),
            },
        };
        budget.produce(own.len())?;
        Ok(own.to_owned())
    }

    /// As XML text; attributes and namespaces as their value. Repeats the namespace declarations of outer elements.
    pub(super) fn markup(self, budget: &Budget) -> Result<String, Exhausted> {
        let Node::Tree(node) = self else { return self.text(budget) };
        let text = &node.document().input_text()[node.range()];
        budget.produce(text.len())?;
        if !node.is_element() {
            return Ok(text.to_owned());
        }
        let end = text.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(text.len());
        let parent = node.parent_element();
        let mut out = text[..end].to_owned();
        for namespace in node.namespaces() {
            budget.produce(namespace.uri().len())?;
            let inherited = parent.is_some_and(|parent| parent.lookup_namespace_uri(namespace.name()) == Some(namespace.uri()));
            if inherited && namespace.name() != Some("xml") {
                out.push_str(" xmlns");
                if let Some(prefix) = namespace.name() {
                    out.push(':');
                    out.push_str(prefix);
                }
                out.push_str("=\"");
                crate::data::encoding::escape(portcullis_dsl::ast::Syntax::Xml, &namespace.uri().into(), &mut out);
                out.push('"');
            }
        }
        out.push_str(&text[end..]);
        Ok(out)
    }
}
