//! A document as XPath's data model sees it (XPath 1.0, section 5).

use std::cmp::Ordering;

use roxmltree::NodeType;
use xpath_eval::{ExpandedName, Node as XPathNode, NodeKind};

/// A node: one of the tree, an attribute, or a namespace in scope.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Tree(roxmltree::Node<'a, 'a>),
    Attribute(roxmltree::Node<'a, 'a>, usize),
    Namespace(roxmltree::Node<'a, 'a>, usize),
}

impl<'a> Node<'a> {
    /// Sorts as documents do: an element, its namespaces, its attributes, its children.
    fn place(self) -> (usize, u8, usize) {
        match self {
            Node::Tree(node) => (node.id().get_usize(), 0, 0),
            Node::Namespace(node, at) => (node.id().get_usize(), 1, at),
            Node::Attribute(node, at) => (node.id().get_usize(), 2, at),
        }
    }

    fn attribute(node: roxmltree::Node<'a, 'a>, at: usize) -> Option<roxmltree::Attribute<'a, 'a>> {
        node.attributes().nth(at)
    }

    /// As XML text; attributes and namespaces as their value. Namespaces that outer elements declare are declared again.
    pub(super) fn markup(self) -> String {
        let Node::Tree(node) = self else { return self.string_value() };
        let text = &node.document().input_text()[node.range()];
        if !node.is_element() {
            return text.to_owned();
        }
        let end = text.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(text.len());
        let parent = node.parent_element();
        let mut out = text[..end].to_owned();
        for namespace in node.namespaces() {
            let inherited = parent.is_some_and(|parent| parent.lookup_namespace_uri(namespace.name()) == Some(namespace.uri()));
            if inherited && namespace.name() != Some("xml") {
                out.push_str(" xmlns");
                if let Some(prefix) = namespace.name() {
                    out.push(':');
                    out.push_str(prefix);
                }
                out.push_str("=\"");
                crate::template::escape(portcullis_dsl::ast::Syntax::Xml, &namespace.uri().into(), &mut out);
                out.push('"');
            }
        }
        out.push_str(&text[end..]);
        out
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Node<'_> {}

impl<'a> XPathNode<'a> for Node<'a> {
    fn kind(self) -> NodeKind {
        match self {
            Node::Attribute(..) => NodeKind::Attribute,
            Node::Namespace(..) => NodeKind::Namespace,
            Node::Tree(node) => match node.node_type() {
                NodeType::Root => NodeKind::Root,
                NodeType::Element => NodeKind::Element,
                NodeType::PI => NodeKind::ProcessingInstruction,
                NodeType::Comment => NodeKind::Comment,
                NodeType::Text => NodeKind::Text,
            },
        }
    }

    fn parent(self) -> Option<Self> {
        match self {
            Node::Tree(node) => node.parent().map(Node::Tree),
            Node::Attribute(node, _) | Node::Namespace(node, _) => Some(Node::Tree(node)),
        }
    }

    fn children(self) -> impl Iterator<Item = Self> + 'a {
        let node = if let Node::Tree(node) = self { Some(node) } else { None };
        node.into_iter().flat_map(|node| node.children()).map(Node::Tree)
    }

    fn attributes(self) -> impl Iterator<Item = Self> + 'a {
        let node = if let Node::Tree(node) = self { Some(node) } else { None };
        node.into_iter().flat_map(|node| (0..node.attributes().len()).map(move |at| Node::Attribute(node, at)))
    }

    fn namespaces(self) -> impl Iterator<Item = Self> + 'a {
        let node = if let Node::Tree(node) = self { Some(node).filter(roxmltree::Node::is_element) } else { None };
        node.into_iter().flat_map(|node| (0..node.namespaces().count()).map(move |at| Node::Namespace(node, at)))
    }

    fn expanded_name(self) -> Option<ExpandedName> {
        let name = |namespace: Option<&str>, local: &str| {
            Some(ExpandedName { namespace_uri: namespace.map(str::to_owned), local_name: local.to_owned() })
        };
        match self {
            Node::Attribute(node, at) => Node::attribute(node, at).and_then(|own| name(own.namespace(), own.name())),
            Node::Namespace(node, at) => node.namespaces().nth(at).and_then(|own| name(None, own.name().unwrap_or(""))),
            Node::Tree(node) => match node.node_type() {
                NodeType::Element => name(node.tag_name().namespace(), node.tag_name().name()),
                NodeType::PI => node.pi().and_then(|pi| name(None, pi.target)),
                NodeType::Root | NodeType::Comment | NodeType::Text => None,
            },
        }
    }

    fn string_value(self) -> String {
        match self {
            Node::Attribute(node, at) => Node::attribute(node, at).map_or_else(String::new, |own| own.value().to_owned()),
            Node::Namespace(node, at) => node.namespaces().nth(at).map_or_else(String::new, |own| own.uri().to_owned()),
            Node::Tree(node) => match node.node_type() {
                NodeType::Root | NodeType::Element => {
                    node.descendants().filter(roxmltree::Node::is_text).filter_map(|text| text.text()).collect()
                }
                NodeType::PI => node.pi().and_then(|pi| pi.value).unwrap_or("").to_owned(),
                NodeType::Comment | NodeType::Text => node.text().unwrap_or("").to_owned(),
            },
        }
    }

    fn document_order(self, other: Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
