//! The inside of quotes: escapes, `${variables}` and the indentation of `"""` texts. Texts, templates and data files share this
//! reader.

use super::lower;
use crate::ast::{Expr, ExprKind, Part, PathStep, VarRef};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span, Spanned};

/// Which escapes a text has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// `\" \\ \n \r \t \$ \u{…}`
    Quoted,
    /// `\${` and `\"""`
    Block,
    /// `\${`
    Data,
}

/// Reads the inside of the texts of one file.
pub struct Reader<'d> {
    file: FileId,
    out: &'d mut Vec<Diagnostic>,
    parts: Vec<Part>,
}

/// The parts of `"…"`; `base` is the offset of `inside`.
pub fn quoted(file: FileId, inside: &str, base: usize, out: &mut Vec<Diagnostic>) -> Vec<Part> {
    let mut reader = Reader { file, out, parts: Vec::new() };
    reader.run(inside, base, Escapes::Quoted);
    reader.parts
}

/// The parts of a data file.
pub fn data(file: FileId, text: &str, out: &mut Vec<Diagnostic>) -> Vec<Part> {
    let mut reader = Reader { file, out, parts: Vec::new() };
    reader.run(text, 0, Escapes::Data);
    reader.parts
}

/// The parts of `"""…"""`. If the text begins on the line after the quotes, the indentation common to all lines, including that
/// of the closing quotes, is not part of it.
pub fn block(file: FileId, inside: &str, base: usize, out: &mut Vec<Diagnostic>) -> Vec<Part> {
    let mut reader = Reader { file, out, parts: Vec::new() };
    let first_line = inside.split('\n').next().unwrap_or("");
    let indented = first_line.trim().is_empty() && inside.contains('\n');
    let start = if indented { first_line.len() + 1 } else { 0 };
    let lines: Vec<&str> = inside[start..].split('\n').collect();
    let last = lines.len() - 1;
    let blanks = |line: &str| line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let common = lines
        .iter()
        .enumerate()
        .filter(|(n, line)| *n == last || !line.trim().is_empty())
        .map(|(_, line)| blanks(line))
        .min()
        .filter(|_| indented)
        .unwrap_or(0);
    let mut at = base + start;
    for (n, line) in lines.iter().enumerate() {
        if n > 0 {
            reader.text("\n");
        }
        let kept = line.strip_suffix('\r').unwrap_or(line);
        if !indented || !kept.trim().is_empty() {
            reader.run(&kept[common..], at + common, Escapes::Block);
        }
        at += line.len() + 1;
    }
    reader.parts
}

impl Reader<'_> {
    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn run(&mut self, text: &str, base: usize, escapes: Escapes) {
        let mut at = 0;
        while let Some(step) = text[at..].find(['\\', '$']) {
            self.text(&text[at..at + step]);
            at += step;
            let rest = &text[at..];
            at += if rest.starts_with("${") {
                self.variable(rest, base + at)
            } else if rest.starts_with('\\') {
                self.escape(rest, base + at, escapes)
            } else {
                self.text("$");
                1
            };
        }
        self.text(&text[at..]);
    }

    /// Reads `${…}` at the start of `rest`; returns its length.
    fn variable(&mut self, rest: &str, base: usize) -> usize {
        let line = rest.split('\n').next().unwrap_or(rest);
        let Some(end) = line.find('}') else {
            let span = Span::new(self.file, base, base + 2);
            let diagnostic = Diagnostic::error(codes::BAD_VARIABLE, "`${` has no closing `}`", span);
            self.out.push(diagnostic.help("a variable is `${name}`; for the signs themselves write `\\${`"));
            return 2;
        };
        let inside = &rest[2..end];
        match reference(self.file, inside, base + 2) {
            Ok((var, false)) => self.parts.push(Part::Var(var)),
            Ok((var, true)) => self.parts.push(Part::RawVar(var)),
            Err(diagnostic) => match self.expression(inside, base + 2) {
                Some(Ok(expr)) => self.parts.push(Part::Expr(expr)),
                Some(Err(())) => {}
                None => self.out.push(*diagnostic),
            },
        }
        end + 1
    }

    /// Reads a function or a calculation; `None` if it is neither, `Err` if its error has been reported.
    fn expression(&mut self, inside: &str, base: usize) -> Option<Result<Expr, ()>> {
        if !inside.contains(['(', '+', '-', '*', '/', '%']) || inside.trim_start().starts_with("raw(") {
            return None;
        }
        let mut said = Vec::new();
        let expr = lower::inside(self.file, inside, &mut said);
        let there = Span::new(self.file, base, base);
        let shift = |span: &mut Span| {
            span.start += there.start;
            span.end += there.start;
        };
        if !said.is_empty() {
            said.iter_mut().for_each(|diagnostic| shift(&mut diagnostic.span));
            self.out.append(&mut said);
            return Some(Err(()));
        }
        let mut expr = expr?;
        shift_spans(&mut expr, &shift);
        Some(Ok(expr))
    }

    /// Undoes the escape at the start of `rest`; returns its length.
    fn escape(&mut self, rest: &str, base: usize, escapes: Escapes) -> usize {
        if escapes != Escapes::Quoted {
            if rest.starts_with("\\${") {
                self.text("${");
                return 3;
            }
            if escapes == Escapes::Block && rest.starts_with("\\\"\"\"") {
                self.text("\"\"\"");
                return 4;
            }
            self.text("\\");
            return 1;
        }
        let Some(letter) = rest[1..].chars().next() else {
            self.text("\\");
            return 1;
        };
        match letter {
            '"' => self.text("\""),
            '\\' => self.text("\\"),
            'n' => self.text("\n"),
            'r' => self.text("\r"),
            't' => self.text("\t"),
            '$' => self.text("$"),
            'u' => return self.unicode(rest, base),
            _ => {
                let span = Span::new(self.file, base, base + 1 + letter.len_utf8());
                let diagnostic = Diagnostic::error(codes::UNKNOWN_ESCAPE, format!("texts have no escape `\\{letter}`"), span);
                self.out.push(diagnostic.help("write `\\\\` for a backslash, or use `r\"…\"`, which has no escapes"));
            }
        }
        1 + letter.len_utf8()
    }

    fn unicode(&mut self, rest: &str, base: usize) -> usize {
        let digits = rest[2..].strip_prefix('{').and_then(|inner| inner.find('}').map(|end| &inner[..end]));
        let made = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match (digits, made) {
            (Some(digits), Some(made)) => {
                self.text(made.encode_utf8(&mut [0; 4]));
                2 + digits.len() + 2
            }
            _ => {
                let length = 2 + digits.map_or(0, |digits| digits.len() + 2);
                let span = Span::new(self.file, base, base + length);
                let message = format!("`{}` is not a character", &rest[..length]);
                self.out.push(
                    Diagnostic::error(codes::UNKNOWN_ESCAPE, message, span).help("write `\\u{e9}`, the number in hexadecimal"),
                );
                length
            }
        }
    }
}

/// Reads the text between `${` and `}`; the flag is true for `raw(…)`.
pub fn reference(file: FileId, inside: &str, base: usize) -> Result<(VarRef, bool), Box<Diagnostic>> {
    let (name_part, delimiter) = match inside.split_once('|') {
        Some((name, delimiter)) => (name, Some(delimiter)),
        None => (inside, None),
    };
    let lead = name_part.len() - name_part.trim_start().len();
    let name_part = name_part.trim();
    let at = base + lead;
    if let Some(rest) = name_part.strip_prefix("raw(") {
        // `${raw(list|, )}`: the delimiter ends before the parenthesis.
        let inner = match delimiter {
            Some(delimiter) => delimiter.strip_suffix(')').map(|delimiter| format!("{rest}|{delimiter}")),
            None => rest.strip_suffix(')').map(str::to_owned),
        };
        return match inner {
            Some(inner) if !inner.starts_with("raw(") => reference(file, &inner, at + 4).map(|(var, _)| (var, true)),
            _ => Err(bad(file, inside, base, "write `${raw(name)}`")),
        };
    }
    let (name, path) = match name_part.find('[') {
        Some(at) => match steps(&name_part[at..]) {
            Some(path) => (name_part[..at].trim_end(), path),
            None => {
                return Err(bad(
                    file,
                    inside,
                    base,
                    "an index is a number, at least 0, and a member is a name: `${name[0].city}`",
                ));
            }
        },
        None => (name_part, Vec::new()),
    };
    if !is_variable_name(name) {
        let help = if name.is_empty() {
            "write the variable's name between the braces"
        } else if name.contains("${") {
            "inside `${…}` a variable has no braces of its own: `${trim(name)}`"
        } else if name.contains('(') {
            "within a text a function needs `${…}`: `\"${trim(name)}\"`; elsewhere it is written without: `trim(${name})`"
        } else {
            "write a name, `${name[0]}` or `${name|, }`; names consist of letters, digits, `_`, `-` and dots"
        };
        return Err(bad(file, inside, base, help));
    }
    let span = Span::new(file, at, at + name.len());
    Ok((VarRef { name: Spanned::new(name.to_owned(), span), path, delimiter: delimiter.map(str::to_owned) }, false))
}

/// Shifts the spans of an expression that may occur inside `${…}`.
fn shift_spans(expr: &mut Expr, shift: &impl Fn(&mut Span)) {
    shift(&mut expr.span.span);
    match &mut *expr.kind {
        ExprKind::Var(var) => shift(&mut var.name.span),
        ExprKind::List(items) => items.iter_mut().for_each(|item| shift_spans(item, shift)),
        ExprKind::Function(name, args) => {
            shift(&mut name.span);
            args.iter_mut().for_each(|arg| shift_spans(arg, shift));
        }
        ExprKind::Arithmetic(_, left, right) => {
            shift_spans(left, shift);
            shift_spans(right, shift);
        }
        ExprKind::Group(inner) => shift_spans(inner, shift),
        _ => {}
    }
}

/// Reads `[0].city.name[1]`.
fn steps(mut rest: &str) -> Option<Vec<PathStep>> {
    let mut path = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (digits, after) = inner.split_once(']')?;
            path.push(PathStep::Index(digits.trim().parse().ok()?));
            rest = after;
        } else {
            let names = rest.strip_prefix('.')?;
            let end = names.find('[').unwrap_or(names.len());
            let name = names[..end].trim_end();
            if !name.split('.').all(is_segment) {
                return None;
            }
            path.push(PathStep::Member(name.to_owned()));
            rest = &names[end..];
        }
    }
    Some(path)
}

fn bad(file: FileId, inside: &str, base: usize, help: &str) -> Box<Diagnostic> {
    let message = if inside.trim().is_empty() {
        "`${}` names no variable".to_owned()
    } else {
        format!("`{}` is not the name of a variable", inside.trim())
    };
    let span = Span::new(file, base - 2, base + inside.len() + 1);
    Box::new(Diagnostic::error(codes::BAD_VARIABLE, message, span).help(help))
}

/// `name`, `dotted.name`, `request.http.header.X-Name`: segments after the first may start with a digit.
pub fn is_variable_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && name.split('.').all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
