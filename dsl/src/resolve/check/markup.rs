//! A small reader of HTML and XML that knows only in what kind of place it is. It follows the tokenizer of the HTML standard
//! (section 13.2.5) as far as places differ in escaping.

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Html,
    Xml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between tags.
    Text,
    /// After `<`.
    Open,
    /// After `<!`, until it is clear what it begins.
    Bang,
    Comment,
    Cdata,
    /// `<!DOCTYPE …>`, `<?xml …?>`
    Declaration,
    TagName,
    /// In a tag, between attributes.
    Tag,
    AttributeName,
    AfterAttributeName,
    BeforeValue,
    Unquoted,
    Quoted(char),
    /// In `script` or `style`.
    Raw,
}

/// A place where a browser, or another reader, follows a value as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPlace {
    /// The value begins an attribute such as `href`.
    Whole,
    /// The same for a picture or icon (`<img src>`, `<link href>`). A browser shows it but runs no script in it, not even in an
    /// SVG.
    Picture,
    /// The value is in the `content` of a `meta` element, which may redirect (`http-equiv="refresh"`).
    Refresh,
}

/// The state of reading.
pub(crate) struct Markup {
    dialect: Dialect,
    at: At,
    /// The last characters read inside something that a longer mark ends (`-->`, `]]>`, `</script`), or the beginning of `<!…`.
    recent: String,
    tag: String,
    closing: bool,
    attribute: String,
    value_empty: bool,
}

/// Attributes whose value is an address.
const ADDRESSES: &[&str] =
    &["href", "src", "action", "formaction", "data", "poster", "cite", "background", "xlink:href", "srcset", "ping", "manifest"];

impl Markup {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let empty = String::new;
        Markup { dialect, at: At::Text, recent: empty(), tag: empty(), closing: false, attribute: empty(), value_empty: true }
    }

    /// Reads literal text.
    pub(crate) fn text(&mut self, text: &str) {
        for c in text.chars() {
            self.at = self.next(c);
        }
    }

    /// Skips a variable's value.
    pub(crate) fn value(&mut self) {
        self.at = match self.at {
            At::BeforeValue => At::Unquoted,
            At::Open => At::TagName,
            At::Tag | At::AfterAttributeName => At::AttributeName,
            other => other,
        };
        self.value_empty = false;
    }

    /// Whether a variable here is an address.
    pub(crate) fn address_place(&self) -> Option<AddressPlace> {
        if !matches!(self.at, At::Quoted(_) | At::BeforeValue | At::Unquoted) {
            return None;
        }
        let attribute = self.attribute.as_str();
        let listed = match self.dialect {
            Dialect::Html => ADDRESSES.contains(&attribute),
            Dialect::Xml => ["href", "src", "action", "formaction", "xlink:href"].contains(&attribute),
        };
        match attribute {
            "src" if self.tag == "img" && self.value_empty => Some(AddressPlace::Picture),
            "href" if self.tag == "link" && self.value_empty => Some(AddressPlace::Picture),
            _ if listed && self.value_empty => Some(AddressPlace::Whole),
            "content" if self.tag == "meta" => Some(AddressPlace::Refresh),
            _ => None,
        }
    }

    /// Why a variable is not allowed here, and what to do instead.
    pub(crate) fn problem(&self, name: &str, from_client: bool) -> Option<(String, String)> {
        let tell = |place: &str, help: &str| {
            Some((format!("`{name}` stands {place}, where escaping cannot make it safe"), help.to_owned()))
        };
        match self.at {
            At::Text => None,
            At::Comment => tell("in a comment", "move it out of the comment"),
            At::Cdata => tell("in a CDATA section", "remove `<![CDATA[`; the value is escaped as text"),
            At::Bang | At::Declaration => tell("in a declaration", "put it into an element or a quoted attribute"),
            At::Open | At::TagName => tell("in the name of a tag", "write out the tags, one template for each"),
            At::Tag | At::AttributeName | At::AfterAttributeName => {
                tell("between the attributes of a tag", "put it into a quoted attribute: `name=\"${…}\"`")
            }
            At::BeforeValue | At::Unquoted => tell(
                &format!("in `{}`, an attribute without quotes", self.attribute),
                &format!("put quotes around it: `{}=\"${{{name}}}\"`", self.attribute),
            ),
            At::Raw => tell(
                &format!("in a `{}`", self.tag),
                "put it into a `data-…` attribute of an element, and read that from the script",
            ),
            At::Quoted(_) if self.dialect == Dialect::Xml => None,
            At::Quoted(_) => match self.attribute.as_str() {
                on if on.starts_with("on") => tell(&format!("in `{on}`, which is script"), "put it into a `data-…` attribute"),
                "style" => tell("in `style`", "use a `class`"),
                "srcdoc" => tell("in `srcdoc`, a document of its own", "link to a page instead"),
                address if ADDRESSES.contains(&address) => self.address(name, address, from_client),
                _ => None,
            },
        }
    }

    /// A variable at the start is the address itself or its base, made by the policy. Later it would have to be percent-encoded,
    /// which `url "…"` does.
    fn address(&self, name: &str, attribute: &str, from_client: bool) -> Option<(String, String)> {
        if !self.value_empty {
            let message = format!("`{name}` is part of the address in `{attribute}`, but is not percent-encoded here");
            return Some((
                message,
                "build the address with `url \"…\"` or `with_query(…)`, and put it here as a whole".to_owned(),
            ));
        }
        from_client.then(|| {
            let message = format!("`{name}` comes from outside and decides where this `{attribute}` leads");
            (message, "check it, and put the address into your own variable".to_owned())
        })
    }

    fn next(&mut self, c: char) -> At {
        match self.at {
            At::Text => {
                if c == '<' {
                    At::Open
                } else {
                    At::Text
                }
            }
            At::Open => self.open(c),
            At::Bang => self.bang(c),
            At::Comment => self.until("-->", c, At::Comment),
            At::Cdata => self.until("]]>", c, At::Cdata),
            At::Declaration => {
                if c == '>' {
                    At::Text
                } else {
                    At::Declaration
                }
            }
            At::TagName => match c {
                '>' => self.end_tag(),
                c if c.is_whitespace() || c == '/' => At::Tag,
                c => {
                    self.tag.extend(c.to_lowercase());
                    At::TagName
                }
            },
            At::Tag => match c {
                '>' => self.end_tag(),
                c if c.is_whitespace() || c == '/' => At::Tag,
                c => self.begin_attribute(c),
            },
            At::AttributeName => match c {
                '>' => self.end_tag(),
                '=' => self.begin_value(),
                '/' => At::Tag,
                c if c.is_whitespace() => At::AfterAttributeName,
                c => {
                    self.attribute.extend(c.to_lowercase());
                    At::AttributeName
                }
            },
            At::AfterAttributeName => match c {
                '>' => self.end_tag(),
                '=' => self.begin_value(),
                '/' => At::Tag,
                c if c.is_whitespace() => At::AfterAttributeName,
                c => self.begin_attribute(c),
            },
            At::BeforeValue => match c {
                '>' => self.end_tag(),
                '"' | '\'' => At::Quoted(c),
                c if c.is_whitespace() => At::BeforeValue,
                _ => At::Unquoted,
            },
            At::Unquoted => match c {
                '>' => self.end_tag(),
                c if c.is_whitespace() => At::Tag,
                _ => At::Unquoted,
            },
            At::Quoted(quote) if c == quote => At::Tag,
            At::Quoted(quote) => {
                // Leading blanks do not make a scheme safer, because browsers strip them.
                self.value_empty &= c.is_whitespace();
                At::Quoted(quote)
            }
            At::Raw => self.raw(c),
        }
    }

    fn open(&mut self, c: char) -> At {
        self.tag.clear();
        self.recent.clear();
        self.closing = c == '/';
        match c {
            '!' => At::Bang,
            '?' => At::Declaration,
            '/' => At::TagName,
            c if c.is_alphabetic() || c == '_' => {
                self.tag.extend(c.to_lowercase());
                At::TagName
            }
            '<' => At::Open,
            _ => At::Text,
        }
    }

    fn bang(&mut self, c: char) -> At {
        self.recent.push(c);
        match self.recent.as_str() {
            "--" => {
                self.recent.clear();
                At::Comment
            }
            "[CDATA[" => {
                self.recent.clear();
                At::Cdata
            }
            begun if "--".starts_with(begun) || "[CDATA[".starts_with(begun) => At::Bang,
            _ if c == '>' => At::Text,
            _ => At::Declaration,
        }
    }

    fn until(&mut self, mark: &str, c: char, stay: At) -> At {
        self.remember(c, mark.len());
        if self.recent.ends_with(mark) { At::Text } else { stay }
    }

    fn raw(&mut self, c: char) -> At {
        let length = self.tag.len() + 2;
        self.remember(c.to_ascii_lowercase(), length);
        let ends = self.recent.strip_prefix("</").is_some_and(|tag| tag == self.tag);
        if ends {
            self.closing = true;
            At::TagName
        } else {
            At::Raw
        }
    }

    fn remember(&mut self, c: char, length: usize) {
        self.recent.push(c);
        while self.recent.chars().count() > length {
            self.recent.remove(0);
        }
    }

    fn end_tag(&mut self) -> At {
        self.recent.clear();
        let raw = self.dialect == Dialect::Html && !self.closing && matches!(self.tag.as_str(), "script" | "style");
        if raw { At::Raw } else { At::Text }
    }

    fn begin_attribute(&mut self, c: char) -> At {
        self.attribute.clear();
        self.attribute.extend(c.to_lowercase());
        At::AttributeName
    }

    fn begin_value(&mut self) -> At {
        self.value_empty = true;
        At::BeforeValue
    }
}
