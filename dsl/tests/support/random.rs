//! Random policies and random damage, the same on every run.

/// A small generator of numbers (xorshift).
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// One of several.
    pub fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Damages a text at a few places: characters and words are deleted, duplicated, swapped, or inserted from elsewhere.
pub fn damage(random: &mut Random, text: &str) -> String {
    const BITS: [&str; 38] = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "\"\"\"",
        "'",
        "${",
        "$",
        "\\",
        "//",
        "///",
        "\n",
        ";",
        ",",
        ":",
        "=",
        "==",
        "|",
        "..",
        "else",
        "if",
        "All",
        "json",
        "not",
        "and",
        "é",
        "\u{feff}",
        "\r\n",
        "\t",
        "999999999999999999999",
        "5xyz",
        "r\"",
        "sql",
        "set x = 1",
        "fragment \"z\"",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..1 + random.below(4) {
        let at = random.below(chars.len() + 1);
        let length = 1 + random.below(8);
        let end = (at + length).min(chars.len());
        match random.below(5) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let copy: Vec<char> = chars[at..end].to_vec();
                chars.splice(at..at, copy);
            }
            2 => {
                let from = random.below(chars.len() + 1);
                let copy: Vec<char> = chars[from..(from + 4 * length).min(chars.len())].to_vec();
                chars.splice(at..at, copy);
            }
            3 if at < chars.len() => chars.truncate(at.max(chars.len() / 2)),
            _ => drop(chars.splice(at..at, random.pick(&BITS).chars())),
        }
    }
    chars.into_iter().collect()
}

/// Writes a random policy file without problems, with comments and line breaks wherever they are allowed.
pub struct Writer {
    random: Random,
    out: String,
}

impl Writer {
    /// A file.
    pub fn file(seed: u64) -> String {
        let mut writer = Writer { random: Random::new(seed), out: String::new() };
        for _ in 0..1 + writer.random.below(3) {
            writer.lines();
            writer.item();
        }
        writer.lines();
        writer.out
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        if self.random.below(6) == 0 {
            self.out.push_str(self.random.pick(&[" ", "  ", "\t"]));
        }
    }

    fn word(&mut self, text: &str) {
        self.put(text);
        self.out.push(' ');
    }

    fn one(&mut self, of: &[&str]) {
        let text = self.random.pick(of);
        self.put(text);
    }

    /// A place for line breaks and comments.
    fn gap(&mut self) {
        match self.random.below(9) {
            0 => self.out.push('\n'),
            1 => self.out.push_str("// c\n"),
            2 => self.out.push_str("\n\n  // own line\n\n"),
            _ => {}
        }
    }

    fn lines(&mut self) {
        match self.random.below(7) {
            0 => self.out.push_str("\n\n\n"),
            1 => self.out.push_str("\n// comment\n"),
            2 => self.out.push_str("\n\n/// doc\n\n//no blank\n"),
            3 => self.out.push_str(" // beside\n"),
            4 => self.out.push_str("// beside\n\n// then\n"),
            _ => self.out.push('\n'),
        }
    }

    fn item(&mut self) {
        match self.random.below(6) {
            0 => self.put("fragment \"F\" "),
            1 => self.one(&["customize \"F\" ", "before \"F\" ", "after \"F\" "]),
            2 => self.put("task \"T\" every 5m "),
            3 => {
                self.put("service \"S\" at \"/s/*\"");
                self.one(&[" \"/s\"", ", \"/s\" \"/other/path/of/the/service\"", ""]);
                self.gap();
                self.one(&[" methods GET,POST ", " methods PUT ", " "]);
                self.gap();
                if self.random.below(2) == 0 {
                    self.put(" errors \"E\" ");
                    self.arguments(1);
                }
                self.one(&[" paths raw ", " "]);
                self.one(&[" disabled ", " "]);
            }
            _ => {
                self.one(&["assertion \"A\" (", "command \"C\" ("]);
                self.gap();
                for n in 0..self.random.below(4) {
                    if n > 0 {
                        self.put(",");
                    }
                    self.gap();
                    self.one(&["in ", "out "]);
                    self.one(&["a", "b.c", "d-e"]);
                    self.one(&["", ": int", ": list"]);
                    if self.random.below(3) == 0 {
                        self.put(" = ");
                        self.value(1);
                    }
                    self.gap();
                }
                self.put(")");
                if self.random.below(2) == 0 {
                    self.gap();
                    self.put(" fails with e.code ");
                }
            }
        }
        self.gap();
        self.block(0);
    }

    fn block(&mut self, depth: usize) {
        self.put("{");
        let one_line = self.random.below(3) == 0;
        if !one_line {
            self.lines();
        }
        for _ in 0..self.random.below(5) {
            self.stmt(depth);
            if one_line {
                self.put(";");
            } else {
                self.lines();
            }
        }
        self.put("}");
    }

    fn stmt(&mut self, depth: usize) {
        let kinds = if depth > 3 { 8 } else { 14 };
        match self.random.below(kinds) {
            0 => {
                self.one(&["set a = ", "set a.b:int=", "default x = ", "set  c : json  = "]);
                self.value(0);
            }
            1 => self.one(&["include \"N\"", "include \"#F\"", "include extension \"X\""]),
            2 => self.one(&["Continue", "Stop", "Done"]),
            3 => {
                self.one(&["fail ", "Raise "]);
                self.value(1);
            }
            4 => self.call(0),
            5 => self.cond(0),
            6 => {
                self.call(1);
                self.gap();
                self.word(" else");
                self.one(&["Stop", "fail 5", "Continue else Stop"]);
            }
            7 => self.put("RequireTls() else fail 203"),
            8 => {
                self.one(&["All ", "AtLeastOne ", "All \"label\" "]);
                self.gap();
                self.block(depth + 1);
            }
            9 => {
                self.word("if");
                self.cond(0);
                self.gap();
                self.block(depth + 1);
                for _ in 0..self.random.below(3) {
                    self.gap();
                    self.word("else if");
                    self.cond(1);
                    self.gap();
                    self.block(depth + 1);
                }
                if self.random.below(2) == 0 {
                    self.gap();
                    self.word("else");
                    self.gap();
                    self.block(depth + 1);
                }
            }
            10 => {
                self.one(&["ForEach item in ", "ForEach x.y in "]);
                self.sum(1);
                self.one(&[" ", " limit 7 "]);
                self.block(depth + 1);
            }
            11 => {
                self.one(&["HandleErrors ", "HandleErrors \"p\" "]);
                self.block(depth + 1);
                if self.random.below(2) == 0 {
                    self.gap();
                    self.word("on error");
                    self.gap();
                    self.block(depth + 1);
                }
            }
            12 => {
                self.call(0);
                self.put(" ");
                self.block(depth + 1);
                self.gap();
                self.word("else");
                self.gap();
                self.block(depth + 1);
            }
            _ => {
                self.call(0);
                self.word(" else");
                self.block(depth + 1);
            }
        }
    }

    fn call(&mut self, depth: usize) {
        // A block may follow, which only these take.
        self.one(&["Foo", "SqlQuery", "Transaction"]);
        self.arguments(depth);
    }

    fn arguments(&mut self, depth: usize) {
        self.put("(");
        self.gap();
        let count = self.random.below(4);
        for n in 0..count {
            self.one(&["a", "some.input", "a_rather_long_name_of_a_property"]);
            self.gap();
            if self.random.below(4) > 0 {
                self.put(":");
                self.gap();
                self.value(depth + 1);
                self.gap();
            }
            if n + 1 < count || self.random.below(3) == 0 {
                self.put(",");
            }
            self.gap();
        }
        self.put(")");
    }

    fn cond(&mut self, depth: usize) {
        let count = 1 + self.random.below(if depth > 2 { 1 } else { 3 });
        for n in 0..count {
            if n > 0 {
                self.gap();
                self.one(&[" and ", " or "]);
                self.gap();
            }
            match self.random.below(if depth > 2 { 3 } else { 6 }) {
                0 => self.one(&["Ask(a: 1)", "not \"Q\" ()", "not not Ask()", "${marked}", "not ${a.b}"]),
                1 | 2 | 5 => {
                    self.one(&["", "", "any ", "not ", "all ", "first "]);
                    self.sum(depth + 1);
                    self.one(&["", "", " as int"]);
                    match self.random.below(5) {
                        0 => self.one(&[" is empty", " is not empty", " length 5..", " count 1..2", " length ..7", " count 5"]),
                        1 => {
                            self.one(&[
                                " not contains ",
                                " in ",
                                " not in ",
                                " matches ",
                                " starts with ",
                                " not ends with ",
                                " contains any ",
                            ]);
                            self.sum(depth + 1);
                        }
                        _ => {
                            self.one(&[" == ", "!=", " <= ", ">", " >= ", " < "]);
                            self.sum(depth + 1);
                        }
                    }
                    self.one(&["", "", " ignoring case"]);
                }
                _ => {
                    self.put("(");
                    self.gap();
                    self.cond(depth + 1);
                    self.gap();
                    self.put(")");
                }
            }
        }
    }

    fn value(&mut self, depth: usize) {
        self.sum(depth);
    }

    fn sum(&mut self, depth: usize) {
        for n in 0..1 + self.random.below(8) / 6 {
            if n > 0 {
                self.one(&[" + ", " - ", " * ", " / ", " % "]);
                self.gap();
            }
            self.primary(depth);
        }
    }

    fn primary(&mut self, depth: usize) {
        match self.random.below(if depth > 3 { 5 } else { 12 }) {
            0 => self.one(&["1", "-1", "1.5", "true", "false", "300s", "250ms", "7d"]),
            1 | 2 => self.one(&["${a}", "${a[0]}", "${a.b[0].c-d.e[1]}", "${list|, }", "${request.http.header.X-A}", "${ a }"]),
            3 => self.one(&[
                "\"\"",
                "\"text\"",
                "\"${a}\"",
                "\"${now() - 5} ${trim(a)} ${(a + 1) * b.c}\"",
                "\"a ${b|;} \\\"c\\\" \\n \\${d} $ $$ \\u{e9}\"",
                "r\"^\\d+$\"",
                "\"a text that is long enough to make its line too long for one line, so that something has to be broken\"",
            ]),
            4 => self.one(&["url \"https://h/${p}\"", "html file \"a.html\"", "json file \"a.json\"", "sql \"select ${a}\""]),
            5 => {
                self.put("[");
                self.gap();
                for _ in 0..self.random.below(4) {
                    self.value(depth + 1);
                    self.gap();
                    self.put(",");
                    self.gap();
                }
                self.put("]");
            }
            6 => {
                self.put("fn(");
                self.gap();
                self.value(depth + 1);
                self.gap();
                self.put(",");
                self.gap();
                self.value(depth + 1);
                self.put(")");
            }
            7 => {
                self.put("(");
                self.value(depth + 1);
                self.put(")");
            }
            8 | 9 => {
                self.word("json");
                self.gap();
                self.json(depth + 1, true);
            }
            10 => self.one(&[
                "sql \"\"\"select 1\"\"\"",
                "html \"\"\"\n      <p>\n        ${a}\n\n      </p>\n  \"\"\"",
                "text \"\"\"\n\"\"\"",
                "xml \"\"\"\n   \\${x} \\\"\"\" ${raw(b|,)}  \n  last\"\"\"",
                "text \"\"\"one\n  two\n\"\"\"",
            ]),
            _ => self.one(&["now()", "trim(${a})"]),
        }
    }

    fn json(&mut self, depth: usize, whole: bool) {
        match self.random.below(if depth > 4 { 4 } else { 7 }) {
            0..4 if !whole => match self.random.below(3) {
                0 => self.put("null"),
                _ => self.value(4),
            },
            0 | 4 => {
                self.put("[");
                self.gap();
                for _ in 0..self.random.below(4) {
                    self.json(depth + 1, false);
                    self.gap();
                    self.put(",");
                    self.gap();
                }
                self.put("]");
            }
            _ => {
                self.put("{");
                self.gap();
                for _ in 0..self.random.below(4) {
                    self.one(&["\"a\"", "\"b\"?", "\"${k} c\""]);
                    self.gap();
                    self.put(":");
                    self.gap();
                    self.json(depth + 1, false);
                    self.gap();
                    self.put(",");
                    self.gap();
                }
                self.put("}");
            }
        }
    }
}
