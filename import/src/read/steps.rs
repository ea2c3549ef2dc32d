//! A policy's XML as a tree of steps.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use roxmltree::Node;

use super::xml::{self, Places};
use crate::known;
use crate::model::{Prop, Props, Step};

/// Base64 as exports have it: with wrong padding, over several lines.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// What was wrong in a policy that could be read: the line, and why.
pub type Remarks = Vec<(usize, String)>;

/// Reads a policy's XML. Lines are counted from `base`, the line of the first.
pub fn policy_steps(text: &str, base: usize, remarks: &mut Remarks) -> Result<Step, (usize, String)> {
    let text = text.trim();
    if text.is_empty() {
        return Err((base, "the policy has no text".to_owned()));
    }
    let shift = base.saturating_sub(1);
    let document = xml::parse(text).map_err(|(line, why)| (line + shift, why))?;
    let root = document.root_element();
    let policy = root.descendants().find(|node| node.tag_name().name() == "Policy").unwrap_or(root);
    let mut reader = Reader { places: Places::new(&document), shift, remarks };
    let mut whole = Step { kind: "All".to_owned(), line: base, ..Step::default() };
    let roots: Vec<Node<'_, '_>> = policy.children().filter(Node::is_element).collect();
    whole = match roots.as_slice() {
        [all] if all.tag_name().name() == "All" => reader.step(*all),
        _ => {
            whole.children = roots.into_iter().map(|node| reader.step(node)).collect();
            whole
        }
    };
    number(&mut whole);
    Ok(whole)
}

/// Numbers the steps in the order of the text. The outermost `All` is the policy itself and has no number.
pub fn number(whole: &mut Step) {
    fn each(step: &mut Step, next: &mut usize) {
        step.number = *next;
        *next += 1;
        step.children.iter_mut().for_each(|child| each(child, next));
    }
    each(whole, &mut 0);
}

struct Reader<'r> {
    places: Places,
    shift: usize,
    remarks: &'r mut Remarks,
}

impl Reader<'_> {
    fn line(&self, node: Node<'_, '_>) -> usize {
        self.places.line(node) + self.shift
    }

    fn step(&mut self, node: Node<'_, '_>) -> Step {
        let kind = known::kind_name(node.tag_name().name());
        let own = known::holds_steps(&kind);
        let mut step = Step { line: self.line(node), ..Step::default() };
        for attribute in node.attributes().filter(|_| own.is_some()) {
            match attribute.name() {
                "Usage" => {}
                "Enabled" => step.disabled |= attribute.value().eq_ignore_ascii_case("false"),
                name => {
                    let (name, _) = known::prop_name(&kind, name);
                    step.props.insert(name, Prop::Text(attribute.value().to_owned()));
                }
            }
        }
        for child in node.children().filter(Node::is_element) {
            let name = child.tag_name().name();
            if name.eq_ignore_ascii_case("assertionComment") {
                self.comments(child, &mut step);
            } else if name == "Enabled" {
                step.disabled |= value(child).text().is_some_and(|text| text.eq_ignore_ascii_case("false"));
            } else if own.is_some_and(|own| !own.contains(&known::lower_first(name))) {
                step.children.push(self.step(child));
            } else {
                self.property(&kind, child, &mut step.props);
            }
        }
        step.kind = kind;
        known::fill(&mut step);
        step
    }

    fn property(&mut self, kind: &str, node: Node<'_, '_>, props: &mut Props) {
        // References in plug-in projects have attributes of their own names.
        let by_name = node.attributes().find(|attribute| matches!(attribute.name(), "policyPath" | "policyName" | "encassName"));
        if let Some(attribute) = by_name {
            let (name, _) = known::prop_name(kind, attribute.name());
            props.insert(name, Prop::Text(attribute.value().to_owned()));
            return;
        }
        let (name, coded) = known::prop_name(kind, node.tag_name().name());
        let mut read = value(node);
        if coded && let Prop::Text(text) = &read {
            match decode(text) {
                Some(decoded) => read = Prop::Text(decoded),
                None => self.remarks.push((self.line(node), "this is not Base64; it is taken as it is".to_owned())),
            }
        }
        props.insert(name, read);
    }

    fn comments(&self, node: Node<'_, '_>, step: &mut Step) {
        let Some(properties) = xml::child(node, "Properties").map(value) else { return };
        let text = |name: &str| properties.text_of(name).filter(|text| !text.trim().is_empty()).map(str::to_owned);
        step.left = text("LEFT.COMMENT");
        step.right = text("RIGHT.COMMENT");
    }
}

/// Decodes Base64 with any padding.
pub fn decode(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
    String::from_utf8(LENIENT.decode(compact).ok()?).ok()
}

/// The value of an element: its name says what it is, the name of its attribute says of which type.
fn value(node: Node<'_, '_>) -> Prop {
    let elements: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    let attribute = node.attributes().next();
    if elements.is_empty() {
        return match attribute {
            Some(attribute) if attribute.name().ends_with("Null") => Prop::Null,
            Some(attribute) if attribute.name().ends_with("Reference") => Prop::Text(xml::all_text(node)),
            Some(attribute) if attribute.value() == "included" => Prop::List(Vec::new()),
            Some(attribute) => Prop::Text(attribute.value().to_owned()),
            None => Prop::Text(xml::all_text(node)),
        };
    }
    let all = |name: &str| elements.iter().all(|element| element.tag_name().name() == name);
    if all("item") {
        return Prop::List(elements.into_iter().map(item).collect());
    }
    if all("entry") {
        let entry = |node: Node<'_, '_>| {
            let key = xml::child(node, "key").map(value)?;
            let value = xml::child(node, "value").map_or(Prop::Null, value);
            Some((key.text()?.to_owned(), value))
        };
        return Prop::Map(elements.into_iter().filter_map(entry).collect());
    }
    Prop::Map(elements.into_iter().map(|element| (known::lower_first(element.tag_name().name()), value(element))).collect())
}

/// An item of a list. The attribute's name says what it is, which is kept as `.kind`.
fn item(node: Node<'_, '_>) -> Prop {
    let mut read = value(node);
    if let (Prop::List(list), Some(_)) = (&read, node.attributes().next())
        && list.is_empty()
    {
        read = Prop::Map(Props::new());
    }
    if let (Prop::Map(map), Some(attribute)) = (&mut read, node.attributes().next()) {
        map.insert(".kind".to_owned(), Prop::Text(attribute.name().to_owned()));
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_any_padding() {
        for text in ["YWI=", "YWI", "YWI==", "Y W\nI"] {
            assert_eq!(decode(text).as_deref(), Some("ab"), "{text}");
        }
        assert_eq!(decode("*"), None);
    }
}
