//! A first walk over the text, for brackets, quotes and comments. It reports unpaired brackets and quotes and repairs them in a copy. So
//! the grammar sees only paired ones and can report what else is wrong in the file. Comments are blank in the copy.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};

/// Brackets inside brackets; policies need about ten.
pub const MAX_DEPTH: usize = 64;

/// After so many bracket problems a file is not read further: it is probably not a policy.
const MAX_PROBLEMS: usize = 50;

/// The result of the walk.
pub struct Scan {
    /// The text with brackets and quotes paired, and blanks for comments.
    pub text: String,
    /// Where comments stand in the original, in order.
    pub comments: Vec<std::ops::Range<usize>>,
    /// What was added to it, by place.
    inserted: Vec<Inserted>,
    /// What was unpaired.
    pub diagnostics: Vec<Diagnostic>,
    /// Byte ranges of lines that were changed: further diagnostics about them would only be consequences.
    pub touched: Vec<std::ops::Range<usize>>,
    /// Whether the copy can be read at all.
    pub readable: bool,
}

/// Walks over a text: a data file, or the inside of `${…}`.
pub fn scan(file: FileId, text: &str) -> Scan {
    walk(file, text, false)
}

/// Walks over a policy file. In the copy, `\r` stands for each line break that certainly ends a statement.
pub fn policy(file: FileId, text: &str) -> Scan {
    walk(file, text, true)
}

fn walk(file: FileId, text: &str, statements: bool) -> Scan {
    let mut scanner = Scanner {
        file,
        text,
        bytes: text.as_bytes(),
        copy: text.as_bytes().to_vec(),
        comments: Vec::new(),
        open: Vec::new(),
        suspect: None,
        diagnostics: Vec::new(),
        touched: Vec::new(),
        readable: true,
        inserted: Vec::new(),
        line: 0,
        statements,
        last: 0,
        triple: 0..0,
        next: (0, false),
    };
    scanner.run();
    let Scanner { copy, comments, diagnostics, touched, readable, inserted, .. } = scanner;
    // Whole characters are replaced by ASCII, so the copy is UTF-8. Otherwise the file would still be refused, with fewer
    // diagnostics.
    let (mut copy, readable) = match String::from_utf8(copy) {
        Ok(copy) => (copy, readable),
        Err(_) => (text.to_owned(), false),
    };
    for insertion in inserted.iter().rev() {
        copy.insert_str(insertion.at, &insertion.text);
    }
    Scan { text: copy, comments, inserted, diagnostics, touched, readable }
}

/// Text added to the copy before offset `at` of the original.
pub struct Inserted {
    at: usize,
    text: String,
}

impl Scan {
    /// Whether everything stands in the copy where it stands in the original.
    pub fn is_faithful(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// The offset in the original of an offset in the copy.
    pub fn original(&self, offset: usize) -> usize {
        let mut added = 0;
        for insertion in &self.inserted {
            if insertion.at + added >= offset {
                break;
            }
            added += insertion.text.len().min(offset - insertion.at - added);
        }
        offset - added
    }
}

/// An open bracket.
#[derive(Clone, Copy)]
struct Open {
    at: usize,
    kind: u8,
    /// Whether it is a block's brace. Any other bracket belongs to a value and ends with its statement.
    block: bool,
    /// Blanks before the first character of its line.
    indent: usize,
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    bytes: &'a [u8],
    copy: Vec<u8>,
    comments: Vec<std::ops::Range<usize>>,
    open: Vec<Open>,
    /// The brace that was left open, judging by the indentation.
    suspect: Option<Open>,
    diagnostics: Vec<Diagnostic>,
    touched: Vec<std::ops::Range<usize>>,
    readable: bool,
    inserted: Vec<Inserted>,
    /// Where the current line begins.
    line: usize,
    /// Whether line breaks that end statements are marked.
    statements: bool,
    /// Where the last thing ends that is neither blank nor comment.
    last: usize,
    /// Where the last `"""` text stands.
    triple: std::ops::Range<usize>,
    /// Where the next such thing begins that was looked for, and whether it begins a statement wherever it stands.
    next: (usize, bool),
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Words that begin a statement and never an argument.
const STATEMENT_WORDS: [&str; 7] = ["set", "default", "include", "if", "fail", "ForEach", "Raise"];
/// Words that a statement may go on with, or after, on the next line.
const CONTINUING: [&str; 20] = [
    "and", "or", "not", "is", "in", "contains", "matches", "starts", "ends", "length", "count", "as", "ignoring", "limit", "on",
    "json", "else", "elseif", "elsif", "elif",
];
/// Words that begin a declaration, at the start of a line and followed by a quote.
const DECLARATION_WORDS: [&str; 7] = ["fragment", "assertion", "service", "task", "command", "customize", "extension"];

impl Scanner<'_> {
    fn run(&mut self) {
        let mut at = 0;
        let mut line_start = true;
        while let Some(&byte) = self.bytes.get(at) {
            if line_start {
                self.line = at;
                self.at_line(at);
                line_start = false;
            }
            at = match byte {
                b'\n' => {
                    line_start = true;
                    if self.ends_statement(at) {
                        self.put(at, b'\r');
                    }
                    at += 1;
                    continue;
                }
                b'/' if self.rest(at).starts_with(b"//") => {
                    at = self.comment(at);
                    continue;
                }
                b' ' => {
                    at += 1;
                    continue;
                }
                b'"' if self.rest(at).starts_with(b"\"\"\"") => self.block_text(at),
                b'"' => self.quoted(at),
                b'\'' => self.single_quoted(at),
                // The grammar knows one kind of blank.
                b'\t' | b'\r' => {
                    self.put(at, b' ');
                    at += 1;
                    continue;
                }
                0xEF if self.rest(at).starts_with(BYTE_ORDER_MARK) => {
                    (at..at + BYTE_ORDER_MARK.len()).for_each(|at| self.put(at, b' '));
                    at + BYTE_ORDER_MARK.len()
                }
                0xC2 | 0xE2 => self.typographic(at),
                b'$' if self.rest(at).starts_with(b"${") => self.variable(at),
                b'(' | b'[' | b'{' => {
                    self.open_bracket(at, byte);
                    at + 1
                }
                b')' | b']' | b'}' => {
                    self.close_bracket(at, byte);
                    at + 1
                }
                _ => at + 1,
            };
            self.last = at;
            if self.diagnostics.len() >= MAX_PROBLEMS {
                self.readable = false;
                return;
            }
            if self.open.len() > MAX_DEPTH {
                let place = Span::new(self.file, at - 1, at);
                let message = format!("brackets are nested more than {MAX_DEPTH} deep");
                let help = "move inner parts to a `fragment` and `include` it";
                self.diagnostics.push(Diagnostic::error(codes::TOO_DEEP, message, place).help(help));
                self.readable = false;
                return;
            }
        }
        self.end_of_declaration(self.bytes.len());
    }

    /// Notes a comment and blanks it; gives its end.
    fn comment(&mut self, at: usize) -> usize {
        let end = self.line_end(at);
        self.comments.push(at..end);
        if let Some(comment) = self.copy.get_mut(at..end) {
            comment.fill(b' ');
        }
        end
    }

    /// Whether this line break certainly ends a statement: it stands in a block, and neither may the text before it be continued, nor can
    /// the text after it continue something.
    fn ends_statement(&mut self, at: usize) -> bool {
        if !self.statements || !self.open.last().is_some_and(|open| open.block) {
            return false;
        }
        let before = self.bytes.get(..self.last).unwrap_or_default();
        let ended = match before.last() {
            Some(b')' | b'"' | b'}' | b']' | b'\'') => true,
            Some(byte) if is_word(*byte) => {
                let word = before.iter().rposition(|byte| !is_word(*byte)).map_or(0, |n| n + 1);
                !continues(before.get(word..).unwrap_or_default())
            }
            _ => false,
        };
        ended && self.begins_statement(at)
    }

    /// Whether what comes next after this place is something with which only a statement begins, or the end of a block.
    fn begins_statement(&mut self, after: usize) -> bool {
        if after >= self.next.0 {
            let mut at = after;
            self.next = loop {
                match self.bytes.get(at) {
                    Some(b' ' | b'\t' | b'\r' | b'\n') => at += 1,
                    Some(b'/') if self.rest(at).starts_with(b"//") => at = self.line_end(at),
                    Some(b'"' | b'\'' | b'$' | b'}') => break (at, true),
                    Some(byte) if is_word(*byte) && !byte.is_ascii_digit() => {
                        let length = self.rest(at).iter().take_while(|byte| is_word(**byte)).count();
                        break (at, !continues(self.rest(at).get(..length).unwrap_or_default()));
                    }
                    _ => break (at, false),
                }
            };
        }
        self.next.1
    }

    /// The text from an offset on; empty beyond the end.
    fn rest(&self, at: usize) -> &[u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// The text between two offsets, as far as it exists.
    fn left(&self, from: usize, to: usize) -> &[u8] {
        self.copy.get(from..to).unwrap_or_default()
    }

    /// Replaces a byte.
    fn put(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.copy.get_mut(at) {
            *place = byte;
        }
    }

    fn line_end(&self, at: usize) -> usize {
        self.rest(at).iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| at + n)
    }

    fn line_begin(&self, at: usize) -> usize {
        self.bytes.iter().take(at).rposition(|b| *b == b'\n').map_or(0, |n| n + 1)
    }

    fn indent(&self, line: usize) -> usize {
        self.rest(line).iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
    }

    /// At the start of a line, a declaration ends every open bracket, and a statement ends every open bracket of a value.
    fn at_line(&mut self, at: usize) {
        let line = &self.text[at..self.line_end(at)];
        let word_end = |word: &str, rest: &str| rest[word.len()..].starts_with([' ', '\t']);
        if DECLARATION_WORDS
            .iter()
            .any(|w| line.starts_with(w) && word_end(w, line) && line[w.len()..].trim_start().starts_with('"'))
        {
            self.end_of_declaration(at);
            return;
        }
        let trimmed = line.trim_start();
        let begins = STATEMENT_WORDS.iter().any(|w| {
            trimmed.starts_with(w) && word_end(w, trimmed) && !trimmed[w.len()..].trim_start().starts_with([':', ',', ')', '='])
        });
        if begins {
            self.end_of_statement(at);
        }
    }

    /// Closes what a value left open; at `at` something begins that cannot be inside a value.
    fn end_of_statement(&mut self, at: usize) {
        let first = self.open.iter().enumerate().find(|(_, open)| !open.block);
        let Some((first, unclosed)) = first.map(|(first, open)| (first, *open)) else { return };
        self.open.truncate(first);
        self.report_unclosed(unclosed);
        // From the bracket's statement to here the meaning is unknown, so it is blanked.
        let from = self.start_of_statement(unclosed.at);
        self.blank(from, at);
    }

    /// Closes everything before a declaration or the end of the file.
    fn end_of_declaration(&mut self, at: usize) {
        self.end_of_statement(at);
        let suspect = self.suspect.take();
        let Some(last) = self.open.last().copied() else { return };
        self.report_unclosed(suspect.unwrap_or(last));
        self.insert_braces(at);
    }

    /// Adds the missing braces before `at`, on their own line.
    fn insert_braces(&mut self, at: usize) {
        if !self.open.is_empty() {
            self.inserted.push(Inserted { at, text: format!("\n{}\n", "}".repeat(self.open.len())) });
            self.open.clear();
        }
    }

    fn report_unclosed(&mut self, open: Open) {
        let closer = closer(open.kind) as char;
        let span = Span::new(self.file, open.at, open.at + 1);
        let message = format!("`{}` is never closed", open.kind as char);
        self.diagnostics
            .push(Diagnostic::error(codes::UNCLOSED, message, span).help(format!("add the `{closer}` that ends this")));
    }

    fn open_bracket(&mut self, at: usize, kind: u8) {
        let in_value = self.open.last().is_some_and(|open| !open.block);
        let json = self.text[..at].trim_end().ends_with("json");
        let indent = self.indent(self.line);
        self.open.push(Open { at, kind, block: kind == b'{' && !in_value && !json, indent });
    }

    fn close_bracket(&mut self, at: usize, kind: u8) {
        let value_from = self.open.iter().rposition(|open| open.block).map_or(0, |n| n + 1);
        let found = self.open.iter().enumerate().skip(value_from).rev().find(|(_, open)| closer(open.kind) == kind);
        match found.map(|(found, _)| found) {
            Some(found) => {
                if let Some(unclosed) = self.open.get(found + 1).copied() {
                    self.report_unclosed(unclosed);
                    self.blank(unclosed.at, unclosed.at + 1);
                    self.touch(unclosed.at, at);
                }
                // Brackets in between are blanked as well.
                for inner in self.open.split_off(found).into_iter().skip(2) {
                    self.blank(inner.at, inner.at + 1);
                }
            }
            None if kind == b'}' && value_from > 0 => {
                if let Some(unclosed) = self.open.get(value_from).copied() {
                    self.report_unclosed(unclosed);
                    let to = if self.line_begin(at) > unclosed.at { self.line_begin(at) } else { at };
                    let from = self.start_of_statement(unclosed.at);
                    self.blank(from, to);
                }
                self.open.truncate(value_from);
                if let Some(block) = self.open.pop() {
                    let indent = self.indent(self.line);
                    if self.line + indent == at && indent < block.indent && self.suspect.is_none() {
                        self.suspect = Some(block);
                    }
                }
            }
            None => {
                let span = Span::new(self.file, at, at + 1);
                let message = format!("`{}` closes nothing", kind as char);
                let help = format!("remove it, or open a `{}` before it", opener(kind) as char);
                self.diagnostics.push(Diagnostic::error(codes::STRAY_CLOSER, message, span).help(help));
                self.blank(at, at + 1);
            }
        }
    }

    /// Where the statement on the line of `at` begins: after a brace or `;` on the same line, if there is one.
    fn start_of_statement(&self, at: usize) -> usize {
        let begin = self.line_begin(at);
        self.left(begin, at).iter().rposition(|b| matches!(b, b'{' | b';' | b'}')).map_or(begin, |n| begin + n + 1)
    }

    /// A text in quotes, which ends on its line.
    fn quoted(&mut self, at: usize) -> usize {
        let raw =
            self.text[..at].ends_with('r') && !self.text[..at - 1].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let mut next = at + 1;
        while let Some(byte) = self.bytes.get(next) {
            match byte {
                b'"' => return next + 1,
                b'\n' => break,
                b'\\' if !raw && self.bytes.get(next + 1).is_some_and(|b| *b != b'\n') => next += 2,
                _ => next += 1,
            }
        }
        let end = next.min(self.bytes.len());
        let end = at + self.text[at..end].trim_end().len();
        // What follows the last word may be the rest of the line's statement: `Foo(a: "x)`.
        let kept = end - self.text[at..end].bytes().rev().take_while(|b| matches!(b, b')' | b']' | b'{' | b',' | b' ')).count();
        let span = Span::new(self.file, at, kept.max(at + 1));
        let diagnostic = Diagnostic::error(codes::UNCLOSED_TEXT, "this text has no closing quote", span);
        self.diagnostics.push(diagnostic.help("add `\"` at its end; texts over several lines need `\"\"\"`"));
        let kept = kept.max(at + 1);
        self.blank(at, kept);
        self.put(at, b'0'); // a value, where the text was one
        if raw {
            self.put(at - 1, b' ');
        }
        kept
    }

    /// Quotes of a word processor, which look like ours: the copy gets ours.
    fn typographic(&mut self, at: usize) -> usize {
        const QUOTES: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '‛', '«', '»'];
        let Some(first) = self.text.get(at..).and_then(|rest| rest.chars().next()).filter(|c| QUOTES.contains(c)) else {
            return at + 1;
        };
        let inside = at + first.len_utf8();
        let line = self.text.get(inside..self.line_end(at)).unwrap_or("");
        let closing = line.char_indices().find(|(_, c)| *c == '"' || QUOTES.contains(c));
        let message = "texts stand between straight double quotes";
        let Some((length, last)) = closing else {
            let span = Span::new(self.file, at, inside);
            self.diagnostics.push(Diagnostic::error(codes::SINGLE_QUOTES, message, span).help("write `\"…\"`"));
            self.blank(at, inside);
            self.put(at, b'0');
            return inside;
        };
        let (end, after) = (inside + length, inside + length + last.len_utf8());
        let help = format!("write `\"{}\"`", line.get(..length).unwrap_or(""));
        self.diagnostics.push(Diagnostic::error(codes::SINGLE_QUOTES, message, Span::new(self.file, at, after)).help(help));
        self.blank(at, inside);
        self.put(inside - 1, b'"');
        self.blank(end, after);
        self.put(end, b'"');
        after
    }

    fn single_quoted(&mut self, at: usize) -> usize {
        match self.rest(at + 1).iter().enumerate().find(|(_, b)| matches!(b, b'\'' | b'\n')) {
            Some((n, b'\'')) => at + n + 2,
            _ => at + 1,
        }
    }

    fn variable(&mut self, at: usize) -> usize {
        match self.rest(at).iter().enumerate().find(|(_, b)| matches!(b, b'}' | b'\n')) {
            Some((n, b'}')) => at + n + 1,
            _ => {
                let end = self.line_end(at);
                let word = self.text[at + 2..end]
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
                    .count();
                let span = Span::new(self.file, at, at + 2 + word);
                let message = "`${` has no closing `}`";
                let help = format!("write `${{{}}}`", &self.text[at + 2..at + 2 + word]);
                self.diagnostics.push(Diagnostic::error(codes::UNCLOSED, message, span).help(help));
                self.blank(at, at + 2 + word);
                self.put(at, b'0');
                at + 2 + word
            }
        }
    }

    fn block_text(&mut self, at: usize) -> usize {
        let mut next = at + 3;
        while next < self.bytes.len() {
            if self.rest(next).starts_with(b"\\\"\"\"") {
                next += 4;
            } else if self.rest(next).starts_with(b"\"\"\"") {
                self.triple = at..next + 3;
                return next + 3;
            } else {
                next += 1;
            }
        }
        let span = Span::new(self.file, at, at + 3);
        let diagnostic = Diagnostic::error(codes::UNCLOSED_TEXT, "this `\"\"\"` text never ends", span);
        self.diagnostics.push(diagnostic.help("add `\"\"\"` after its last line"));
        // Everything after it may be text or policy, so only the part before is read. If its line begins within another text, that one
        // may have no end either.
        let line = self.line_begin(at);
        let from = if self.triple.contains(&line) { self.line_end(self.triple.start) } else { line };
        // Nor is a statement whose brackets are open.
        let statement = self.open.iter().find(|open| !open.block).map(|open| self.start_of_statement(open.at));
        let from = statement.map_or(from, |statement| statement.min(from));
        self.blank(from, self.bytes.len());
        self.open.retain(|open| open.at < from && open.block);
        self.insert_braces(self.bytes.len());
        self.bytes.len()
    }

    fn blank(&mut self, from: usize, to: usize) {
        for byte in self.copy.iter_mut().take(to).skip(from) {
            // Nothing is certain here, so no mark stays.
            *byte = if matches!(byte, b'\n' | b'\r') { b'\n' } else { b' ' };
        }
        self.touch(from, to);
    }

    fn touch(&mut self, from: usize, to: usize) {
        let range = self.line_begin(from)..self.line_end(to.saturating_sub(1).max(from));
        self.touched.push(range);
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn continues(word: &[u8]) -> bool {
    CONTINUING.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

fn closer(opener: u8) -> u8 {
    match opener {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

fn opener(closer: u8) -> u8 {
    match closer {
        b')' => b'(',
        b']' => b'[',
        _ => b'{',
    }
}
