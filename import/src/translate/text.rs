//! Texts with variables: `${name}`, `${name[0]}`, `${name|, }`.

use portcullis_dsl::ast::{Expr, ExprKind, Part, PathStep, VarRef};

use super::Translator;
use super::build::{self, as_int, function, int, is_variable, lit, literal_parts, reference, text, var};

/// One piece of such a text.
enum Piece<'t> {
    Text(&'t str),
    /// What stands between `${` and `}`.
    Inside(&'t str),
}

/// Splits a text at its variables.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, tail) = rest.split_at(at);
        let inside = tail.get(2..).unwrap_or("");
        let Some(end) = inside.find('}') else { break };
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Inside(inside.get(..end).unwrap_or("")));
        rest = inside.get(end + 1..).unwrap_or("");
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// The names of the variables in a text, without index and delimiter.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Inside(inside) => inside.split(['|', '[']).next().map(str::trim),
        Piece::Text(_) => None,
    })
}

/// The variable that a text consists of.
pub fn lone(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    (!inside.contains('}')).then_some(inside)
}

/// Adds text to parts, so that no two texts follow each other.
fn push(parts: &mut Vec<Part>, more: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(more),
        _ if more.is_empty() => {}
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

impl Translator<'_> {
    /// The parts of a text with variables.
    pub fn parts(&mut self, source: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        for piece in pieces(source) {
            match piece {
                Piece::Text(text) => push(&mut parts, text),
                Piece::Inside(inside) => match self.inside(inside) {
                    Some(part) => parts.push(part),
                    None => {
                        let message = format!("`${{{inside}}}` cannot name a variable; it is empty there, and here");
                        self.trap(20, &message);
                    }
                },
            }
        }
        parts
    }

    /// A text with variables.
    pub fn text(&mut self, source: &str) -> Expr {
        text(self.parts(source))
    }

    /// A text with variables; a whole number is one.
    pub fn number(&mut self, source: &str) -> Expr {
        as_int(source).map_or_else(|| self.text(source), int)
    }

    /// Seconds.
    pub fn seconds(&mut self, source: &str) -> Expr {
        match source.trim().parse() {
            Ok(count) => build::seconds(count),
            Err(_) => self.text(source),
        }
    }

    /// A variable, where a text is one and nothing else; otherwise the text.
    pub fn value(&mut self, source: &str) -> Expr {
        if let Some(inside) = lone(source)
            && let Some(Part::Var(var)) = self.inside(inside)
        {
            return build::expr(ExprKind::Var(var));
        }
        self.text(source)
    }

    /// A variable by its name, which may have an index.
    pub fn variable(&mut self, name: &str) -> Option<Expr> {
        match self.inside(name)? {
            Part::Var(var) => Some(build::expr(ExprKind::Var(var))),
            Part::Expr(expr) => Some(expr),
            Part::Text(text) => Some(lit(&text)),
            Part::RawVar(_) => None,
        }
    }

    /// What stands between `${` and `}`.
    fn inside(&mut self, inside: &str) -> Option<Part> {
        let (name, delimiter) = match inside.split_once('|') {
            Some((name, delimiter)) => (name.trim(), Some(delimiter)),
            None => (inside.trim(), None),
        };
        let (name, path) = match name.find('[') {
            Some(at) => (name.get(..at)?.trim_end(), indexes(name.get(at..)?)?),
            None => (name, Vec::new()),
        };
        if path.is_empty()
            && let Some(part) = self.builtin(name)
        {
            return Some(part);
        }
        if !is_variable(name) {
            return None;
        }
        let named = VarRef { path, ..reference(name) };
        match delimiter {
            // A delimiter that cannot stand inside quotes is joined before.
            Some(delimiter) if delimiter.contains(['"', '\\', '\n', '\r', '$']) => {
                let joined = self.fresh("joined");
                let source = build::expr(ExprKind::Var(named));
                self.before.push(build::set(&joined, None, function("join", vec![source, lit(delimiter)])));
                Some(Part::Var(reference(&joined)))
            }
            delimiter => Some(Part::Var(VarRef { delimiter: delimiter.map(str::to_owned), ..named })),
        }
    }

    /// Built-in variables that are spelled differently here.
    fn builtin(&mut self, name: &str) -> Option<Part> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "request.http.uri" => return Some(Part::Var(reference("request.url.path"))),
            "service.oid" | "service.goid" => return Some(Part::Var(reference("service.name"))),
            "ssgnode.name" | "ssgnode.hostname" => return Some(Part::Var(reference("gateway.cluster.hostname"))),
            _ => {}
        }
        self.date(name, &lower)
    }

    /// A moment by a pattern of a date: `gateway.time.yyyy-MM-dd`.
    fn date(&mut self, name: &str, lower: &str) -> Option<Part> {
        let moments = self.moments.iter().map(String::as_str).chain(["gateway.time"]);
        let known = moments.filter(|own| lower.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'))).map(str::len).max();
        let at = match known {
            Some(at) => at,
            // A moment of another policy: only a pattern that nothing else can be counts.
            None => name.match_indices('.').map(|(at, _)| at).find(|at| is_plain_date(name.get(at + 1..).unwrap_or("")))?,
        };
        let (moment, form) = (name.get(..at)?, name.get(at + 1..)?);
        if !is_variable(moment)
            || matches!(form.to_ascii_lowercase().as_str(), "seconds" | "millis" | "utc" | "rfc1123" | "length")
        {
            return None;
        }
        if form.eq_ignore_ascii_case("local") {
            self.note(&format!("`{name}` was the time of the gateway's own zone; here it is UTC"));
            return Some(Part::Var(reference(&format!("{moment}.utc"))));
        }
        if let Some(c) = unknown_letter(form) {
            self.need(&format!("a date in the form `{form}`: the letter `{c}`"));
            return Some(Part::Text(String::new()));
        }
        if known == Some("gateway.time".len()) && is_variable(name) {
            return Some(Part::Var(reference(name)));
        }
        // A text has no calls in it, so the date is written before.
        let date = self.fresh("date");
        self.before.push(build::set(&date, None, function("format_time", vec![var(moment), lit(form)])));
        Some(Part::Var(reference(&date)))
    }

    /// `json { "Name": "value" }` of pairs of texts.
    pub fn object(&mut self, pairs: &[(String, String)]) -> Expr {
        use portcullis_dsl::ast::Json;
        let members = pairs.iter().map(|(key, value)| (self.parts(key), false, Json::Value(self.text(value)))).collect();
        build::object(members)
    }

    /// `json { "name": "value" }` of pairs that are no texts with variables.
    pub fn constants(&self, pairs: &[(String, String)]) -> Expr {
        use portcullis_dsl::ast::Json;
        build::object(pairs.iter().map(|(key, value)| (literal_parts(key), false, Json::Value(lit(value)))).collect())
    }
}

/// Whether a text is a pattern of a date and nothing else.
fn is_plain_date(form: &str) -> bool {
    (form.contains("yyyy") || form.contains("HH:mm")) && unknown_letter(form).is_none()
}

/// A letter outside of quotes that is no part of a date.
fn unknown_letter(form: &str) -> Option<char> {
    let mut quoted = false;
    form.chars().find(|c| {
        quoted ^= *c == '\'';
        !quoted && c.is_ascii_alphabetic() && !"GyMLdDEuaHkKhmsSzZX".contains(*c)
    })
}

/// `[0][1]`
fn indexes(mut rest: &str) -> Option<Vec<PathStep>> {
    let mut path = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let (digits, after) = inner.split_once(']')?;
        path.push(PathStep::Index(digits.trim().parse().ok()?));
        rest = after.trim_start();
    }
    if rest.is_empty() {
        return Some(path);
    }
    let member = rest.strip_prefix('.')?;
    path.push(PathStep::Member(member.to_owned()));
    is_variable(member).then_some(path)
}
