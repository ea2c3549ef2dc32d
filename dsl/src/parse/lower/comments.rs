//! Comments. The scanner lists them; each function takes those that stand before or inside its part of the text, in order.

use super::Lower;
use crate::ast::{Comment, Comments};

impl Lower<'_> {
    /// The next comment without a place that begins before `end`, and where it begins.
    pub fn comment_before(&mut self, end: u32) -> Option<(u32, Comment)> {
        let place = self.scan.comments.get(self.placed).filter(|place| place.start < end as usize)?;
        self.placed += 1;
        let line = self.text[place.clone()].trim_end();
        let slashes = line.bytes().take_while(|b| *b == b'/').count();
        let doc = slashes == 3;
        let text = line[if doc { 3 } else { 2 }..].to_owned();
        let start = place.start as u32;
        let blank_before = self.lines_before(start) > 1;
        Some((start, Comment { text, doc, blank_before, blank_after: false }))
    }

    /// Leaves the comments before `end` to the enclosing statement or entry.
    pub fn loosen_before(&mut self, end: u32) {
        while let Some((_, comment)) = self.comment_before(end) {
            self.loose.push(Comment { blank_before: false, ..comment });
        }
    }

    /// Leaves out the comments before `end`, which stand in text that was not understood.
    pub fn drop_before(&mut self, end: u32) {
        while self.comment_before(end).is_some() {}
    }

    /// Passes comments that have no place here to the enclosing statement or entry.
    pub fn loosen(&mut self, comments: Comments) {
        self.loose.extend(comments.leading);
        self.loose.extend(comments.trailing);
        self.loose.extend(comments.after);
    }

    /// Takes the comments found since `before` was set aside, and puts `before` back.
    pub fn take_loose(&mut self, before: Vec<Comment>) -> Vec<Comment> {
        std::mem::replace(&mut self.loose, before)
    }
}

/// Merges leading comments with those found inside, in the form in which they would be parsed again.
pub fn join_comments(mut leading: Vec<Comment>, loose: Vec<Comment>) -> Vec<Comment> {
    if loose.is_empty() {
        return leading;
    }
    let blank = leading.last_mut().is_some_and(|last| std::mem::take(&mut last.blank_after));
    let loose = loose.into_iter().enumerate();
    leading.extend(loose.map(|(n, comment)| Comment { blank_before: blank && n == 0, blank_after: false, ..comment }));
    leading
}
