//! A statement as written: pieces of SQL with parameters between them, rendered once for each dialect. Values never become part
//! of the text, so injection is impossible.

use std::sync::{Arc, OnceLock};

use portcullis_dsl::SqlScanner;

use super::rendered::{self, Rendered};
use super::{Dialect, StatementError, bytewise};

/// SQL with parameter positions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Statement(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    written: Written,
    /// For each dialect the text, or why there is none. It is made when it is first asked for: a gateway uses few dialects.
    forms: [OnceLock<Result<Rendered, StatementError>>; Dialect::ALL.len()],
    params: usize,
    /// Whether it looks like a read. The database decides.
    may_read: bool,
    may_change: bool,
}

/// What the text of a dialect is made of.
#[derive(Clone, Debug)]
struct Written {
    /// With a parameter between each two.
    pieces: Arc<[String]>,
    /// Whether comparisons are made bytewise.
    exact: bool,
    /// Whether the rows that it reads are locked.
    holds_rows: bool,
    /// Words before it.
    #[cfg(test)]
    after: &'static str,
}

impl Written {
    fn rendered(&self, dialect: Dialect) -> Result<Rendered, StatementError> {
        let pieces: Vec<&str> = self.pieces.iter().map(String::as_str).collect();
        let form = match self.exact {
            true => bytewise::rewrite(dialect.spelling(), &pieces)?,
            false => Rendered::plain(dialect.spelling().placeholders(), &pieces),
        };
        #[cfg(test)]
        let form = Rendered { sql: format!("{}{}", self.after, form.sql).into(), binds: form.binds };
        match dialect.spelling().holding_rows().filter(|_| self.holds_rows) {
            // On its own line, because the statement may end in a comment.
            Some(words) => {
                let sql = format!("{}\n{words}", form.sql.trim_end().trim_end_matches(';'));
                Ok(Rendered { sql: sql.into(), binds: form.binds })
            }
            None => Ok(form),
        }
    }
}

/// How a statement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// Texts are equal if their bytes are.
    Bytes,
    /// As the database does: by its collations and conversions.
    Database,
}

impl Statement {
    /// A bytewise comparing statement of these pieces, with one parameter between each two.
    pub fn new<S: AsRef<str>>(pieces: &[S]) -> Result<Statement, StatementError> {
        Statement::with(pieces, Equality::Bytes)
    }

    /// A statement of these pieces, with one parameter between each two. Fails, with the reason, for a parameter inside quotes or
    /// a comment (where it would be text), for transaction control (which is up to `Transaction`), and if its comparisons cannot
    /// be made bytewise in any dialect.
    pub fn with<S: AsRef<str>>(pieces: &[S], equality: Equality) -> Result<Statement, StatementError> {
        let pieces: Vec<&str> = pieces.iter().map(AsRef::as_ref).collect();
        let mut scanner = SqlScanner::default();
        let params = pieces.len().saturating_sub(1);
        for (i, piece) in pieces.iter().enumerate() {
            scanner.read(piece);
            if i == params {
                break;
            }
            if let Some(place) = scanner.inside() {
                return Err(StatementError::Unbound(place));
            }
        }
        let whole = pieces.join("?");
        if whole.contains(rendered::MARK) {
            return Err(StatementError::ControlCharacter);
        }
        let verb = first_word(&whole);
        if verb.is_empty() {
            return Err(StatementError::Empty);
        }
        let is = |words: &[&str]| words.iter().any(|word| verb.eq_ignore_ascii_case(word));
        if is(&["begin", "commit", "end", "rollback", "savepoint", "release", "start", "abort"]) {
            return Err(StatementError::TransactionControl(verb.to_owned()));
        }
        if is(&["attach", "detach"]) {
            return Err(StatementError::Attachment(verb.to_owned()));
        }
        let may_read = is(&["select", "with", "values", "pragma", "explain"]);
        let changes = ["insert", "update", "delete", "replace", "merge"];
        let may_change = is(&changes) || is(&["with"]) && has_word(&whole, &changes);
        // A statement without values compares nothing that anybody sent.
        let exact = equality == Equality::Bytes && params > 0 && (may_read || may_change);
        let written = Written {
            pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(),
            exact,
            holds_rows: false,
            #[cfg(test)]
            after: "",
        };
        let statement = Statement::made(written, params, may_read, may_change);
        // Mostly the first dialect has a form, and no other is tried.
        let mut whys = Dialect::ALL.into_iter().map(|dialect| statement.rendered(dialect).err());
        match whys.next().flatten() {
            Some(why) if whys.all(|why| why.is_some()) => Err(why),
            _ => Ok(statement),
        }
    }

    fn made(written: Written, params: usize, may_read: bool, may_change: bool) -> Statement {
        let forms = Dialect::ALL.map(|_| OnceLock::new());
        Statement(Arc::new(Inner { written, forms, params, may_read, may_change }))
    }

    /// The same statement, which also locks the rows that it reads until the end of its transaction: whoever wants to change or
    /// delete one of them waits. An embedded database has only one writing transaction at a time anyway. Fails, with the reason,
    /// unless it is a `select` or an `insert … select`.
    pub fn holding_rows(&self) -> Result<Statement, StatementError> {
        let verb = self.0.written.pieces.first().map_or("", |piece| first_word(piece));
        if !["select", "insert"].iter().any(|held| verb.eq_ignore_ascii_case(held)) {
            return Err(StatementError::HoldsNothing);
        }
        let written = Written { holds_rows: true, ..self.0.written.clone() };
        Ok(Statement::made(written, self.0.params, self.0.may_read, self.0.may_change))
    }

    /// The same statement after these words.
    #[cfg(test)]
    pub(super) fn after(&self, words: &'static str) -> Statement {
        let written = Written { after: words, ..self.0.written.clone() };
        Statement::made(written, self.0.params, true, self.0.may_change)
    }

    /// The text for this dialect, or why there is none.
    pub(super) fn rendered(&self, dialect: Dialect) -> Result<&Rendered, StatementError> {
        let form = self.0.forms.get(dialect as usize).ok_or(StatementError::NoForm)?;
        form.get_or_init(|| self.0.written.rendered(dialect)).as_ref().map_err(StatementError::clone)
    }

    /// How many values it takes.
    pub fn params(&self) -> usize {
        self.0.params
    }

    /// Whether it finds or changes rows, so that "none" is meaningful.
    pub fn counts_rows(&self) -> bool {
        self.0.may_read || self.0.may_change
    }

    /// Whether it changes nothing, as far as its text says.
    pub fn only_reads(&self) -> bool {
        self.0.may_read && !self.0.may_change
    }

    /// Whether it may be read-only: it begins like a read. One that begins with `with` may still end in an `update`.
    pub fn may_read(&self) -> bool {
        self.0.may_read
    }
}

/// The first word, after blanks and comments.
fn first_word(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        }
        .trim_start();
    }
    &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

/// Whether one of these words is somewhere in the text, be it in quotes.
fn has_word(sql: &str, words: &[&str]) -> bool {
    let mut found = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    found.any(|word| words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_placeholders() {
        let statement = Statement::new(&["insert into t (b, c) values (", ", ", ")"]).unwrap();
        let sql = |dialect| statement.rendered(dialect).unwrap().sql.to_string();
        assert_eq!(sql(Dialect::Sqlite), "insert into t (b, c) values (?1, ?2)");
        assert_eq!(sql(Dialect::MySql), "insert into t (b, c) values (?, ?)");
        assert_eq!(sql(Dialect::Postgres), "insert into t (b, c) values ($1, $2)");
        assert_eq!(statement.params(), 2);
    }

    #[test]
    fn a_variable_in_quotes_or_comments_is_refused() {
        assert!(Statement::new(&["select '", "'"]).unwrap_err().to_string().contains("inside quotes"));
        assert!(Statement::new(&["select 1 -- ", ""]).unwrap_err().to_string().contains("inside a comment"));
        assert!(Statement::new(&["select /* ", " */ 1"]).unwrap_err().to_string().contains("inside a comment"));
        assert!(Statement::new(&["select 'it''s', -- why\n ", ""]).is_ok());
    }

    #[test]
    fn transaction_control_is_refused() {
        for sql in ["begin", "  COMMIT", "-- x\n rollback", "/* y */ savepoint a"] {
            assert!(Statement::new(&[sql]).unwrap_err().to_string().contains("Transaction"), "{sql}");
        }
        assert!(Statement::new(&["attach 'x' as y"]).is_err());
        assert!(Statement::new(&[" "]).is_err());
    }
}
