//! From text to steps. A line that matches nothing is an error: a check that silently checks nothing is worse than none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::order::check_order;
use super::step::{Case, Expectation, Request, Step, StepKind, TokenKey};
use crate::data::encoding::Encoding;
use crate::services::store::Dialect;

/// Deepest nesting of included files.
const MAX_DEPTH: usize = 8;

/// A section's heading and lines.
struct Section<'a> {
    file: &'a Arc<str>,
    line: usize,
    head: &'a str,
    /// Line number and text.
    lines: Vec<(usize, &'a str)>,
}

impl Case {
    /// Reads a file and what it includes.
    pub fn read(path: &Path) -> Result<Case, Failure> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Failure::new(&shown, 1, format!("cannot be read: {error}")))?;
        Case::parse(&shown, &text)
    }

    /// Reads a text. `file` is shown in failures, and included files are relative to it.
    pub fn parse(file: &str, text: &str) -> Result<Case, Failure> {
        let file: Arc<str> = file.into();
        let title = text.lines().next().and_then(|line| line.strip_prefix('#')).map_or("", str::trim).to_owned();
        if title.is_empty() {
            return Err(Failure::new(&file, 1, "the first line must say what is true here: `# A used code is refused.`"));
        }
        let mut steps = Vec::new();
        sections(&file, text, 0, &mut steps)?;
        check_order(&file, &steps)?;
        Ok(Case { file, title, steps })
    }
}

fn sections(file: &Arc<str>, text: &str, depth: usize, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let mut current: Option<Section<'_>> = None;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if let Some(head) = line.strip_prefix("== ") {
            if let Some(section) = current.take() {
                finish(section, depth, steps)?;
            }
            current = Some(Section { file, line: number, head: head.trim(), lines: Vec::new() });
        } else if let Some(section) = &mut current {
            // A text that begins with `== ` itself is written with a backslash before it.
            section.lines.push((number, if line.starts_with("\\== ") { &line[1..] } else { line }));
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(Failure::new(file, number, "this is before the first section (`== …`)"));
        }
    }
    current.map_or(Ok(()), |section| finish(section, depth, steps))
}

fn finish(section: Section<'_>, depth: usize, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let (word, rest) = section.head.split_once(' ').map_or((section.head, ""), |(word, rest)| (word, rest.trim()));
    if word == "include" {
        section.nothing_below()?;
        if depth == MAX_DEPTH {
            return Err(section.wrong("files include each other"));
        }
        let path = Path::new(&**section.file).parent().map_or_else(|| PathBuf::from(rest), |folder| folder.join(rest));
        let text = std::fs::read_to_string(&path).map_err(|error| section.wrong(format!("{}: {error}", path.display())))?;
        return sections(&path.display().to_string().into(), &text, depth + 1, steps);
    }
    let kind = section.kind(word, rest)?;
    steps.push(Step { file: Arc::clone(section.file), line: section.line, kind });
    Ok(())
}

impl Section<'_> {
    fn wrong(&self, message: impl Into<String>) -> Failure {
        Failure::new(self.file, self.line, message)
    }

    fn kind(&self, word: &str, rest: &str) -> Result<StepKind, Failure> {
        Ok(match word {
            "customization" => {
                let path = if rest.starts_with("customizations/") { rest.to_owned() } else { format!("customizations/{rest}") };
                StepKind::File { path: self.path(&path)?, content: self.text().into_bytes() }
            }
            "file" => {
                let (path, content) = self.content(rest)?;
                StepKind::File { path, content }
            }
            "config" => StepKind::Config(self.text()),
            "only" => {
                self.nothing_below()?;
                let dialects: Option<Vec<Dialect>> = rest.split_whitespace().map(Dialect::named).collect();
                let dialects = dialects.filter(|dialects| !dialects.is_empty());
                StepKind::Only(dialects.ok_or_else(|| self.wrong("`== only DIALECT…`, each of `sqlite`, `mysql`, `postgres`"))?)
            }
            "needs" if rest == "all characters" => {
                self.nothing_below()?;
                StepKind::AllCharacters
            }
            "needs" => return Err(self.wrong("`== needs all characters`")),
            "user" => {
                let attributes = match self.json_below() {
                    Some((line, text)) => serde_json::from_str(&text)
                        .map_err(|error| Failure::new(self.file, line, format!("this is no JSON object: {error}")))?,
                    None => serde_json::Map::new(),
                };
                let mut words = words(rest).map_err(|message| self.wrong(message))?.into_iter();
                let (Some(name), Some(password)) = (words.next(), words.next()) else {
                    return Err(self.wrong("`== user NAME PASSWORD [ROLE…]`"));
                };
                StepKind::User { name, password, roles: words.collect(), attributes }
            }
            "token" => {
                let words = words(rest).map_err(|message| self.wrong(message))?;
                let (token, by) = match words.as_slice() {
                    [token, by, path] if by == "by" && path.starts_with('/') => (token, TokenKey::Path(path.clone())),
                    [token, by, kind, secret] if by == "by" && kind == "secret" => (token, TokenKey::Secret(secret.clone())),
                    _ => return Err(self.wrong("`== token TOKEN by PATH` or `== token TOKEN by secret SECRET`")),
                };
                StepKind::Token { token: token.clone(), by, expected: self.json_below() }
            }
            "command" => self.command(rest)?,
            "task" => {
                self.nothing_below()?;
                if rest.is_empty() {
                    return Err(self.wrong("`== task NAME`"));
                }
                StepKind::Task(rest.to_owned())
            }
            "sql" => StepKind::Sql { connection: self.word(rest)?, text: self.text() },
            "rows" => self.rows(rest)?,
            "parallel" => {
                self.nothing_below()?;
                let count = rest.parse().ok().filter(|count| (1..=1000).contains(count));
                StepKind::Parallel(count.ok_or_else(|| self.wrong("`== parallel N`, with N from 1 to 1000"))?)
            }
            "request" => StepKind::Request(self.request(rest)?),
            "raw" => {
                let (secure, _) = self.scheme(rest)?;
                StepKind::Raw { secure, bytes: self.raw_bytes()? }
            }
            "response" => {
                if !rest.is_empty() {
                    return Err(self.wrong("the status goes on its own line below `== response`"));
                }
                StepKind::Response(self.expectation()?)
            }
            "responses" => StepKind::Responses(self.histogram()?),
            "clock" => {
                self.nothing_below()?;
                let millis = rest.strip_prefix('+').and_then(millis);
                StepKind::Clock(millis.ok_or_else(|| self.wrong("`== clock +TIME`, e.g. `+3601s`, `+2h`, `+250ms`"))?)
            }
            "save" => {
                let (path, content) = self.content(rest)?;
                StepKind::Save { path, content }
            }
            "delete" => {
                self.nothing_below()?;
                StepKind::Delete(self.path(rest)?)
            }
            "rename" => {
                self.nothing_below()?;
                let (old, new) = rest.split_once(' ').ok_or_else(|| self.wrong("`== rename OLD NEW`"))?;
                StepKind::Rename(self.path(old)?, self.path(new.trim())?)
            }
            "refused" => StepKind::Refused(self.filled().map(|(line, text)| (line, text.trim().to_owned())).collect()),
            "log" => {
                self.nothing_below()?;
                match rest.split_once(' ') {
                    Some(("contains", text)) => StepKind::Log { contains: true, text: text.to_owned() },
                    Some(("!contains", text)) => StepKind::Log { contains: false, text: text.to_owned() },
                    _ => return Err(self.wrong("`== log contains TEXT` or `== log !contains TEXT`")),
                }
            }
            "nocookies" => {
                self.nothing_below()?;
                StepKind::NoCookies
            }
            "browser" => {
                self.nothing_below()?;
                if rest.is_empty() || rest.contains(' ') {
                    return Err(self.wrong("`== browser NAME`"));
                }
                StepKind::Browser(rest.to_owned())
            }
            other => return Err(self.wrong(format!("there is no section `{other}`"))),
        })
    }

    fn nothing_below(&self) -> Result<(), Failure> {
        match self.filled().next() {
            Some((line, _)) => Err(Failure::new(self.file, line, "this section takes no lines below its heading")),
            None => Ok(()),
        }
    }

    /// The JSON below a heading, and its first line.
    fn json_below(&self) -> Option<(usize, String)> {
        let lines: Vec<(usize, &str)> = self.filled().collect();
        let first = lines.first()?.0;
        Some((first, lines.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n")))
    }

    /// The lines that are neither empty nor comments.
    fn filled(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().copied().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with("# "))
    }

    /// All lines as they are, without the empty ones at the end.
    fn text(&self) -> String {
        let mut text = self.lines.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// `PATH`, and the text below; `PATH base64`, and the bytes that it means.
    fn content(&self, rest: &str) -> Result<(String, Vec<u8>), Failure> {
        let Some(path) = rest.strip_suffix(" base64") else { return Ok((self.path(rest)?, self.text().into_bytes())) };
        let bytes = Encoding::Base64.decode(&self.text()).ok_or_else(|| self.wrong("this is not Base64"))?;
        Ok((self.path(path.trim_end())?, bytes))
    }

    fn word(&self, rest: &str) -> Result<String, Failure> {
        if rest.is_empty() || rest.contains(' ') {
            return Err(self.wrong("the heading must name one connection"));
        }
        Ok(rest.to_owned())
    }

    /// A path inside the home.
    fn path(&self, path: &str) -> Result<String, Failure> {
        let inside = !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if inside { Ok(path.to_owned()) } else { Err(self.wrong(format!("`{path}` is not a path in the home"))) }
    }

    fn command(&self, rest: &str) -> Result<StepKind, Failure> {
        let mut words = words(rest).map_err(|message| self.wrong(message))?;
        let label = match words.first() {
            Some(first) if first.ends_with(':') => Some(words.remove(0).trim_end_matches(':').to_owned()),
            _ => None,
        };
        if words.is_empty() {
            return Err(self.wrong("`== command [NAME:] WORDS…`"));
        }
        let first = self.filled().next();
        let fails = first.is_some_and(|(_, line)| line.trim() == "fails");
        let rest: Vec<(usize, &str)> = self.filled().skip(usize::from(fails)).collect();
        let expected = rest.first().map(|(line, _)| (*line, rest.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n")));
        Ok(StepKind::Command { label, words, fails, expected })
    }

    fn rows(&self, rest: &str) -> Result<StepKind, Failure> {
        let end = self.lines.iter().position(|(_, line)| line.trim().is_empty()).unwrap_or(self.lines.len());
        let (query, rows) = self.lines.split_at(end);
        let query = query.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        if query.is_empty() {
            return Err(self.wrong("a query is missing; after it an empty line, then the rows"));
        }
        let rows = rows
            .iter()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| (*number, line.split(" | ").map(|column| column.trim().to_owned()).collect()))
            .collect();
        Ok(StepKind::Rows { connection: self.word(rest)?, query, rows })
    }

    fn scheme<'r>(&self, rest: &'r str) -> Result<(bool, &'r str), Failure> {
        let (word, note) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "" | "https" => Ok((true, note)),
            "http" => Ok((false, note)),
            _ => Ok((true, rest)),
        }
    }

    fn request(&self, rest: &str) -> Result<Request, Failure> {
        let (secure, note) = self.scheme(rest)?;
        let certificate = note.split(' ').find_map(|word| word.strip_prefix("cert=")).map(str::to_owned);
        let mut lines = self.lines.iter().copied().skip_while(|(_, line)| line.is_empty() || line.starts_with("# "));
        let (number, first) = lines.next().ok_or_else(|| self.wrong("the request line is missing: `GET /path`"))?;
        let (method, target) = first
            .split_once(' ')
            .ok_or_else(|| Failure::new(self.file, number, "a request line is a method and a path: `GET /path`"))?;
        let mut request =
            Request { secure, certificate, method: method.to_owned(), target: target.trim().to_owned(), ..Request::default() };
        for (number, line) in lines.by_ref() {
            if line.trim().is_empty() {
                break;
            }
            if line.starts_with("# ") {
                continue;
            }
            if line.starts_with([' ', '\t']) && request.headers.is_empty() {
                // A long query may span lines.
                request.target.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| {
                Failure::new(self.file, number, "a header is `Name: value`; an empty line goes before the body")
            })?;
            request.headers.push((number, name.to_owned(), value.trim().to_owned()));
        }
        let form = request.headers.iter().any(|(_, name, value)| {
            name.eq_ignore_ascii_case("content-type") && value.starts_with("application/x-www-form-urlencoded")
        });
        let body: Vec<&str> = lines.map(|(_, line)| line).collect();
        request.body = if form {
            body.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("&").replace("&&", "&")
        } else {
            body.join("\n").trim_end().to_owned()
        };
        Ok(request)
    }

    fn raw_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for (number, line) in &self.lines {
            unescape(line, &mut bytes).map_err(|message| Failure::new(self.file, *number, message))?;
        }
        Ok(bytes)
    }

    fn expectation(&self) -> Result<Expectation, Failure> {
        let mut lines = self.lines.iter().copied().filter(|(_, line)| !line.starts_with("# ")).peekable();
        let (number, status) = lines.next().ok_or_else(|| self.wrong("the status is missing"))?;
        let mut expected = Expectation { line: number, status: statuses(self.file, number, status)?, ..Expectation::default() };
        while let Some((number, line)) = lines.peek().copied() {
            match header_line(line) {
                Some((name, pattern)) => expected.headers.push((number, name.to_owned(), pattern.map(str::to_owned))),
                None => break,
            }
            lines.next();
        }
        if lines.peek().is_some_and(|(_, line)| line.trim().is_empty()) {
            lines.next();
        }
        let body: Vec<(usize, &str)> = lines.collect();
        expected.body_line = body.first().map_or(number, |(number, _)| *number);
        let text = body.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        let text = text.trim_end();
        if let Some(exact) = text.strip_prefix('=') {
            expected.exact = true;
            expected.body = Some(exact.strip_prefix(' ').unwrap_or(exact).to_owned());
        } else if !text.is_empty() {
            expected.body = Some(text.to_owned());
        }
        Ok(expected)
    }

    fn histogram(&self) -> Result<Vec<(std::ops::RangeInclusive<usize>, Expectation)>, Failure> {
        let mut lines = Vec::new();
        for (number, line) in self.filled() {
            let wrong = || Failure::new(self.file, number, "a line here is `COUNTx STATUS [header: value]`");
            let (count, rest) = line.split_once("x ").ok_or_else(wrong)?;
            let count = match count.trim().strip_suffix('+') {
                Some(least) => least.parse().map_err(|_| wrong())?..=usize::MAX,
                None => count.trim().parse().map(|count| count..=count).map_err(|_| wrong())?,
            };
            let (status, header) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
            let mut expected = Expectation {
                line: number,
                body_line: number,
                status: statuses(self.file, number, status)?,
                ..Expectation::default()
            };
            if header.starts_with('{') {
                expected.body = Some(header.to_owned());
            } else if !header.is_empty() {
                let (name, pattern) = header_line(header).ok_or_else(wrong)?;
                expected.headers.push((number, name.to_owned(), pattern.map(str::to_owned)));
            }
            lines.push((count, expected));
        }
        if lines.is_empty() {
            return Err(self.wrong("a line `COUNTx STATUS [header: value]` is missing"));
        }
        Ok(lines)
    }
}

fn statuses(file: &str, line: usize, text: &str) -> Result<Vec<u16>, Failure> {
    text.trim()
        .split('|')
        .map(|status| status.parse().ok().filter(|status| (100..600).contains(status)))
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::new(file, line, format!("`{text}` is not a status: `200`, or `302|303`")))
}

/// `name: pattern`, or `!name`.
fn header_line(line: &str) -> Option<(&str, Option<&str>)> {
    let token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if let Some(name) = line.strip_prefix('!') {
        return token(name.trim()).then(|| (name.trim(), None));
    }
    let (name, value) = line.split_once(':')?;
    (token(name) && (value.is_empty() || value.starts_with(' '))).then(|| (name, Some(value.trim())))
}

/// Splits at blanks; double quotes keep words together.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if quoted {
        return Err("a double quote is not closed");
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

fn millis(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    text[..digits].parse::<i64>().ok()?.checked_mul(factor)
}

fn unescape(line: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let escaped = escape.chars().nth(1).ok_or("there is a lone `\\` at the end of the line")?;
        let mut length = 1 + escaped.len_utf8();
        out.push(match escaped {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                length += 2;
                let digits = rest.get(at + 2..at + 4).ok_or("`\\x` takes two hexadecimal digits")?;
                u8::from_str_radix(digits, 16).map_err(|_| "`\\x` takes two hexadecimal digits")?
            }
            other => return Err(format!("there is no escape `\\{other}`")),
        });
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}
