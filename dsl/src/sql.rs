//! Quotes and comments of SQL, followed through the pieces of a template. The checks and the gateway's store share this scanner.

/// The state of the scanner within a text.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqlScanner {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Open {
    Quote(char),
    Line,
    Block,
}

impl SqlScanner {
    /// Reads the next piece.
    pub fn read(&mut self, text: &str) {
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
                // A doubled quote closes and reopens the text, which has the same effect.
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

    /// What is open here, quotes or a comment, so that a variable would not be bound.
    pub fn inside(&self) -> Option<&'static str> {
        self.open.map(|open| match open {
            Open::Quote(_) => "quotes",
            Open::Line | Open::Block => "a comment",
        })
    }
}
