//! Comma-separated entries and the comments around them: parameters, arguments, JSON members, list values.

use super::{Lower, Node, Rule};
use crate::ast::{Comment, Comments};
use crate::codes;
use crate::span::Span;

impl Lower<'_> {
    /// Lowers each entry of a bracketed list with `one`, and attaches comments to their entries. Reports missing commas.
    pub fn entries<'i, T>(
        &mut self,
        node: Node<'i>,
        mut one: impl FnMut(&mut Self, Node<'i>) -> Option<T>,
        comments_of: impl Fn(&mut T) -> &mut Comments,
    ) -> Vec<T> {
        let mut made: Vec<T> = Vec::new();
        let mut pending: Vec<Comment> = Vec::new();
        let mut last: Option<Span> = None;
        let mut last_is_made = false;
        let mut comma = true;
        let whole = self.span(&node);
        self.loosen_before(whole.start);
        // Comments before an offset: one beside an entry belongs to it, the others to the next.
        let between = |lower: &mut Self, end: u32, last: Option<Span>, made: &mut Vec<T>, pending: &mut Vec<Comment>| {
            while let Some((start, comment)) = lower.comment_before(end) {
                let comment = Comment { blank_before: false, ..comment };
                let beside = pending.is_empty() && last.is_some_and(|last| lower.same_line(last.end, start));
                match made.last_mut().filter(|_| beside).map(&comments_of) {
                    Some(comments) if comments.trailing.is_none() => comments.trailing = Some(comment),
                    _ => pending.push(comment),
                }
            }
        };
        for child in node.into_inner() {
            let span = self.span(&child);
            between(self, span.start, last.filter(|_| last_is_made), &mut made, &mut pending);
            match child.as_rule() {
                Rule::comma => comma = true,
                _ => {
                    if !comma {
                        let after = last.unwrap_or(span).end as usize;
                        let last_char = self.text[..after].chars().next_back().map_or(0, char::len_utf8);
                        let place = Span::new(self.file, after - last_char, after);
                        self.error(codes::MISSING_COMMA, "a comma is missing here", place, "add `,` after this");
                    }
                    comma = false;
                    last = Some(span);
                    let before = std::mem::take(&mut self.loose);
                    let entry = one(self, child);
                    self.loosen_before(span.end);
                    let inner = self.take_loose(before);
                    last_is_made = entry.is_some();
                    match entry {
                        Some(mut entry) => {
                            let comments = comments_of(&mut entry);
                            comments.leading = std::mem::take(&mut pending);
                            comments.leading.extend(inner);
                            made.push(entry);
                        }
                        None => pending.extend(inner),
                    }
                }
            }
        }
        between(self, whole.end, last.filter(|_| last_is_made), &mut made, &mut pending);
        match made.last_mut().map(comments_of) {
            Some(comments) => comments.after = pending,
            None => self.loose.extend(pending),
        }
        made
    }
}
