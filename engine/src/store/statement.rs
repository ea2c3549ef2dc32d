//! A statement as an author wrote it: pieces of SQL with parameters between them, rendered once for each dialect. Values never become
//! part of the text, so injection cannot be written.

use std::fmt::Write;
use std::sync::Arc;

use super::Dialect;

/// SQL with parameter positions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Statement(Arc<Rendered>);

#[derive(Debug)]
struct Rendered {
    sqlite: Arc<str>,
    mysql: Arc<str>,
    postgres: Arc<str>,
    params: usize,
    /// Whether it may be a read: it starts as one. The database has the last word.
    may_read: bool,
    may_change: bool,
}

impl Statement {
    /// A statement of these pieces, one parameter between each two. Fails, with the reason, for a parameter inside quotes or a
    /// comment (it would be text, not a parameter) and for transaction control, which is `Transaction`'s business.
    pub fn new<S: AsRef<str>>(pieces: &[S]) -> Result<Statement, String> {
        let mut scanner = Scanner::default();
        let params = pieces.len().saturating_sub(1);
        let (mut sqlite, mut mysql, mut postgres) = (String::new(), String::new(), String::new());
        for (i, piece) in pieces.iter().enumerate() {
            let piece = piece.as_ref();
            scanner.read(piece);
            for text in [&mut sqlite, &mut mysql, &mut postgres] {
                text.push_str(piece);
            }
            if i == params {
                break;
            }
            if let Some(place) = scanner.inside() {
                return Err(format!(
                    "a variable inside {place} would not be bound: take it out, the database quotes it by itself"
                ));
            }
            let _ = write!(sqlite, "?{}", i + 1);
            mysql.push('?');
            let _ = write!(postgres, "${}", i + 1);
        }
        let verb = first_word(&sqlite);
        if verb.is_empty() {
            return Err("the statement is empty".to_owned());
        }
        let is = |words: &[&str]| words.iter().any(|word| verb.eq_ignore_ascii_case(word));
        if is(&["begin", "commit", "end", "rollback", "savepoint", "release", "start", "abort"]) {
            return Err(format!("`{verb}` is not for statements: put them into a `Transaction {{ }}`"));
        }
        if is(&["attach", "detach"]) {
            return Err(format!("`{verb}` is not allowed: name another connection in `gateway.yaml`"));
        }
        let may_read = is(&["select", "with", "values", "pragma", "explain"]);
        let may_change = is(&["insert", "update", "delete", "replace", "merge", "with"]);
        Ok(Statement(Arc::new(Rendered {
            sqlite: sqlite.into(),
            mysql: mysql.into(),
            postgres: postgres.into(),
            params,
            may_read,
            may_change,
        })))
    }

    /// The same statement, which also keeps the rows that it reads as they are until the end of its transaction: whoever wants to change
    /// or delete one of them waits. An embedded database has one writing transaction at a time anyway. Fails, with the reason, for
    /// what is neither `select` nor `insert … select`.
    pub fn holding_rows(&self) -> Result<Statement, String> {
        let Rendered { sqlite, mysql, postgres, params, may_read, may_change } = &*self.0;
        if !["select", "insert"].iter().any(|verb| first_word(sqlite).eq_ignore_ascii_case(verb)) {
            return Err("only rows that `select` or `insert … select` reads can be held".to_owned());
        }
        // On a line of its own: the statement may end in a comment. MariaDB knows no `for share`, MySQL knows both.
        let add = |text: &str, words: &str| format!("{}\n{words}", text.trim_end().trim_end_matches(';')).into();
        Ok(Statement(Arc::new(Rendered {
            sqlite: Arc::clone(sqlite),
            mysql: add(mysql, "lock in share mode"),
            postgres: add(postgres, "for share"),
            params: *params,
            may_read: *may_read,
            may_change: *may_change,
        })))
    }

    /// The text for this dialect.
    pub fn sql(&self, dialect: Dialect) -> &Arc<str> {
        match dialect {
            Dialect::Sqlite => &self.0.sqlite,
            Dialect::MySql => &self.0.mysql,
            Dialect::Postgres => &self.0.postgres,
        }
    }

    /// How many values it takes.
    pub fn params(&self) -> usize {
        self.0.params
    }

    /// Whether it finds or changes rows, so that "none" means something.
    pub fn counts_rows(&self) -> bool {
        self.0.may_read || self.0.may_change
    }

    /// Whether it may be one that only reads: it begins like one.
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

/// Follows quotes and comments through the pieces.
#[derive(Default)]
struct Scanner {
    open: Option<Open>,
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Quote(char),
    Line,
    Block,
}

impl Scanner {
    fn read(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match self.open {
                None => match c {
                    '\'' | '"' | '`' => self.open = Some(Open::Quote(c)),
                    '-' if chars.peek() == Some(&'-') => self.open = Some(Open::Line),
                    '/' if chars.peek() == Some(&'*') => {
                        chars.next();
                        self.open = Some(Open::Block);
                    }
                    _ => {}
                },
                // A doubled quote closes and opens again, which comes to the same.
                Some(Open::Quote(quote)) if c == quote => self.open = None,
                Some(Open::Line) if c == '\n' => self.open = None,
                Some(Open::Block) if c == '*' && chars.peek() == Some(&'/') => {
                    chars.next();
                    self.open = None;
                }
                Some(_) => {}
            }
        }
    }

    fn inside(&self) -> Option<&'static str> {
        self.open.map(|open| match open {
            Open::Quote(_) => "quotes",
            Open::Line | Open::Block => "a comment",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_placeholders() {
        let statement = Statement::new(&["select a from t where b = ", " and c = ", ""]).unwrap();
        assert_eq!(&**statement.sql(Dialect::Sqlite), "select a from t where b = ?1 and c = ?2");
        assert_eq!(&**statement.sql(Dialect::MySql), "select a from t where b = ? and c = ?");
        assert_eq!(&**statement.sql(Dialect::Postgres), "select a from t where b = $1 and c = $2");
        assert_eq!(statement.params(), 2);
    }

    #[test]
    fn a_variable_in_quotes_or_comments_is_refused() {
        assert!(Statement::new(&["select '", "'"]).unwrap_err().contains("inside quotes"));
        assert!(Statement::new(&["select 1 -- ", ""]).unwrap_err().contains("inside a comment"));
        assert!(Statement::new(&["select /* ", " */ 1"]).unwrap_err().contains("inside a comment"));
        assert!(Statement::new(&["select 'it''s', -- why\n ", ""]).is_ok());
    }

    #[test]
    fn transaction_control_is_refused() {
        for sql in ["begin", "  COMMIT", "-- x\n rollback", "/* y */ savepoint a"] {
            assert!(Statement::new(&[sql]).unwrap_err().contains("Transaction"), "{sql}");
        }
        assert!(Statement::new(&["attach 'x' as y"]).is_err());
        assert!(Statement::new(&[" "]).is_err());
    }
}
