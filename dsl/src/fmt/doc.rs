//! Layout: a tree of texts and possible line breaks, and the printer that chooses the breaks.

/// A piece of layout.
#[derive(Clone, Debug)]
pub enum Doc {
    /// Text without line breaks.
    Text(String),
    /// A comment to the end of the line; it never causes a break.
    Comment(String),
    /// Text with line breaks of its own, printed as it is.
    Verbatim(String),
    /// A blank, or a new line when its group is broken.
    Line,
    /// Nothing, or a new line when its group is broken.
    Soft,
    /// A blank. If its group is broken: a new line, if the text up to the next possible break does not fit.
    Wrap,
    /// A new line.
    Hard,
    /// One level deeper.
    Indent(Box<Doc>),
    /// One after the other.
    Concat(Vec<Doc>),
    /// On one line when it fits and nothing in it must break.
    Group(Box<Doc>),
    /// The first alternative when it fits on one line, else the second when its first line fits, else the third.
    Choice(Box<[Doc; 3]>),
}

/// Text.
pub fn text(text: impl Into<String>) -> Doc {
    Doc::Text(text.into())
}

/// One after the other.
pub fn concat(docs: impl IntoIterator<Item = Doc>) -> Doc {
    Doc::Concat(docs.into_iter().collect())
}

/// One level deeper.
pub fn indent(doc: Doc) -> Doc {
    Doc::Indent(Box::new(doc))
}

/// A group.
pub fn group(doc: Doc) -> Doc {
    Doc::Group(Box::new(doc))
}

/// The longest word or value of a list that shares its line with others.
const SHORT: usize = 48;

/// `open a, b, c close`. When broken, it has one entry a line, but short words and values share lines. `must_break` forces the
/// break.
pub fn list(open: &str, close: &str, entries: Vec<Doc>, spaced: bool, must_break: bool) -> Doc {
    if entries.is_empty() {
        return text(format!("{open}{close}"));
    }
    // If an entry has a comment, every entry gets its own line.
    let commented = |entry: &Doc| matches!(entry, Doc::Concat(parts) if matches!(parts.get(1), Some(Doc::Comment(_))));
    let sharing = !entries.iter().any(commented);
    let short = |entry: &Doc| matches!(entry, Doc::Text(text) if width(text) <= SHORT);
    let single: Vec<bool> = entries.iter().map(|entry| sharing && short(entry)).collect();
    // A list of only short entries is not broken if it fits.
    let must_break = must_break && !single.iter().all(|single| *single);
    let edge = if must_break {
        Doc::Hard
    } else if spaced {
        Doc::Line
    } else {
        Doc::Soft
    };
    let mut inner = vec![edge.clone()];
    let last = entries.len() - 1;
    for (n, entry) in entries.into_iter().enumerate() {
        // After an entry come its comma, the comment at the end of its line, and then the comments below it.
        let comma = text(if n < last { "," } else { "" });
        match entry {
            Doc::Concat(parts) if matches!(parts.get(1), Some(Doc::Comment(_))) => {
                let mut parts = parts.into_iter();
                inner.extend(parts.next());
                inner.push(comma);
                inner.extend(parts);
            }
            entry => inner.extend([entry, comma]),
        }
        if n < last {
            inner.push(match single.get(n..n + 2) {
                Some([true, true]) => Doc::Wrap,
                _ if must_break => Doc::Hard,
                _ => Doc::Line,
            });
        }
    }
    group(concat([text(open), indent(Doc::Concat(inner)), edge, text(close)]))
}

impl Doc {
    /// Whether it cannot be on one line.
    pub fn must_break(&self) -> bool {
        match self {
            Doc::Comment(_) | Doc::Verbatim(_) | Doc::Hard => true,
            Doc::Text(_) | Doc::Line | Doc::Soft | Doc::Wrap => false,
            Doc::Indent(inner) | Doc::Group(inner) => inner.must_break(),
            Doc::Concat(docs) => docs.iter().any(Doc::must_break),
            Doc::Choice(alternatives) => alternatives.first().is_some_and(Doc::must_break),
        }
    }

    /// Its text, if it consists of nothing else.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Doc::Text(text) => Some(text.clone()),
            Doc::Concat(docs) => docs.iter().map(Doc::as_text).collect(),
            _ => None,
        }
    }

    /// Its width on one line; `None` if it must break.
    pub fn flat_width(&self) -> Option<usize> {
        match self {
            Doc::Text(text) => Some(width(text)),
            Doc::Comment(_) | Doc::Verbatim(_) | Doc::Hard => None,
            Doc::Line | Doc::Wrap => Some(1),
            Doc::Soft => Some(0),
            Doc::Indent(inner) | Doc::Group(inner) => inner.flat_width(),
            Doc::Concat(docs) => docs.iter().map(Doc::flat_width).sum(),
            Doc::Choice(alternatives) => alternatives.first().and_then(Doc::flat_width),
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Flat,
    Broken,
}

type Entry<'d> = (usize, Mode, &'d Doc);

/// Blanks per level.
pub const INDENT: usize = 4;

/// Prints a layout.
pub fn render(doc: &Doc, limit: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    // The indentation of a line is written with its first text, so that empty lines stay empty.
    let mut owed = 0;
    let mut stack: Vec<Entry<'_>> = vec![(0, Mode::Broken, doc)];
    while let Some((depth, mode, doc)) = stack.pop() {
        match doc {
            Doc::Text(text) | Doc::Comment(text) | Doc::Verbatim(text) => {
                if !text.is_empty() {
                    out.extend(std::iter::repeat_n(' ', std::mem::take(&mut owed)));
                    out.push_str(text);
                    column = match text.rsplit_once('\n') {
                        Some((_, last)) => width(last),
                        None => column + width(text),
                    };
                }
            }
            Doc::Line | Doc::Wrap if mode == Mode::Flat => {
                out.push(' ');
                column += 1;
            }
            Doc::Wrap if fits(limit, column + 1, (depth, Mode::Flat, &Doc::Soft), &stack) => {
                out.push(' ');
                column += 1;
            }
            Doc::Soft if mode == Mode::Flat => {}
            Doc::Line | Doc::Soft | Doc::Wrap | Doc::Hard => {
                out.push('\n');
                owed = depth * INDENT;
                column = owed;
            }
            Doc::Indent(inner) => stack.push((depth + 1, mode, inner)),
            Doc::Concat(docs) => stack.extend(docs.iter().rev().map(|doc| (depth, mode, doc))),
            Doc::Group(inner) => {
                let flat = mode == Mode::Flat || !inner.must_break() && fits(limit, column, (depth, Mode::Flat, inner), &stack);
                stack.push((depth, if flat { Mode::Flat } else { Mode::Broken }, inner));
            }
            Doc::Choice(alternatives) => {
                let [flat, hugged, broken] = &**alternatives;
                let chosen = if mode == Mode::Flat || !flat.must_break() && fits(limit, column, (depth, Mode::Flat, flat), &stack)
                {
                    (depth, Mode::Flat, flat)
                } else if fits(limit, column, (depth, Mode::Broken, hugged), &stack) {
                    (depth, Mode::Broken, hugged)
                } else {
                    (depth, Mode::Broken, broken)
                };
                stack.push(chosen);
            }
        }
    }
    out
}

/// Whether everything up to the next line break fits.
fn fits(limit: usize, column: usize, first: Entry<'_>, rest: &[Entry<'_>]) -> bool {
    let mut left = limit.saturating_sub(column) as isize;
    let mut stack = vec![first];
    let mut rest = rest.iter().rev();
    loop {
        let Some((depth, mode, doc)) = stack.pop().or_else(|| rest.next().copied()) else { return true };
        match doc {
            Doc::Text(text) => left -= width(text) as isize,
            Doc::Comment(_) => {}
            Doc::Verbatim(text) => return left >= text.split('\n').next().map_or(0, width) as isize,
            Doc::Line | Doc::Soft | Doc::Wrap if mode == Mode::Broken => return true,
            Doc::Hard => return true,
            Doc::Line | Doc::Wrap => left -= 1,
            Doc::Soft => {}
            Doc::Indent(inner) => stack.push((depth, mode, inner)),
            Doc::Group(inner) => {
                let mode = if inner.must_break() { Mode::Broken } else { mode };
                stack.push((depth, mode, inner));
            }
            Doc::Concat(docs) => stack.extend(docs.iter().rev().map(|doc| (depth, mode, doc))),
            Doc::Choice(alternatives) => {
                let [flat, hugged, _] = &**alternatives;
                stack.push((depth, mode, if flat.must_break() { hugged } else { flat }));
            }
        }
        if left < 0 {
            return false;
        }
    }
}
