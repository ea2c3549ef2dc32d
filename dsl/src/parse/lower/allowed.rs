//! Which values an output or a declared variable may have: bounds and choices.

use super::{Lower, Node, Rule};
use crate::ast::{Allowed, Range, Type};
use crate::codes;
use crate::span::Spanned;

impl Lower<'_> {
    /// Bounds after a type.
    pub fn range_of(&mut self, node: &Node<'_>, ty: Option<&Spanned<Type>>) -> Option<Spanned<Allowed>> {
        let span = self.span(node);
        let (min, max) = node.as_str().split_once("..")?;
        let mut bound = |text: &str| match text {
            "" => Some(None),
            text => match text.parse() {
                Ok(number) => Some(Some(number)),
                Err(_) => {
                    self.error(codes::NUMBER_RANGE, format!("`{text}` is too large"), span, "use a smaller bound");
                    None
                }
            },
        };
        let range = Range { min: bound(min)?, max: bound(max)? };
        if let (Some(min), Some(max)) = (range.min, range.max)
            && min > max
        {
            self.error(codes::BAD_BOUNDS, format!("no value is from {min} to {max}"), span, "put the smaller one first");
            return None;
        }
        if let Some(ty) = ty.filter(|ty| !matches!(ty.node, Type::Int | Type::Decimal | Type::String)) {
            self.error(
                codes::BAD_BOUNDS,
                "this type has no bounds",
                span.to(ty.span),
                "only numbers have bounds, and texts for their length",
            );
            return None;
        }
        Some(Spanned::new(Allowed::Range(range), span))
    }

    /// `"page" | "redirect"`, alone or after a type. Alone they are texts.
    pub fn choices_of(&mut self, node: Node<'_>, ty: &mut Option<Spanned<Type>>) -> Option<Spanned<Allowed>> {
        let span = self.span(&node);
        let mut words: Vec<String> = Vec::new();
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::string => {
                    let word = self.plain_text(&child)?;
                    if words.iter().any(|known| known.eq_ignore_ascii_case(&word)) {
                        self.error(codes::BAD_BOUNDS, format!("`{}` is there twice", word.node), word.span, "remove one of them");
                    } else {
                        words.push(word.node);
                    }
                }
                Rule::single_quoted => self.single_quotes(&child),
                _ => self.word(&child),
            }
        }
        let ty = ty.get_or_insert(Spanned::new(Type::String, span));
        if !matches!(ty.node, Type::String | Type::List) {
            let help = "write the words alone, for a text, or after `list`";
            self.error(codes::BAD_BOUNDS, "this type has no choices", span.to(ty.span), help);
            return None;
        }
        Some(Spanned::new(Allowed::Choice(words), span))
    }
}
