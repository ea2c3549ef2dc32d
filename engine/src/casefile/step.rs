//! The parts of a scenario.

use std::sync::Arc;

use crate::services::store::Dialect;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// Path, as failures print it.
    pub file: Arc<str>,
    /// The sentence at its top.
    pub title: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One section.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its file.
    pub file: Arc<str>,
    /// Its line.
    pub line: usize,
    /// What it does.
    pub kind: StepKind,
}

/// What a section does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// A file of the home, there from the start.
    File {
        /// Path in the home.
        path: String,
        /// Content.
        content: Vec<u8>,
    },
    /// YAML over `gateway.yaml`.
    Config(String),
    /// The only databases that the case is about.
    Only(Vec<Dialect>),
    /// The case stores texts that some character sets lack.
    AllCharacters,
    /// A user of the internal identity provider.
    User {
        /// Login name.
        name: String,
        /// Password.
        password: String,
        /// Roles.
        roles: Vec<String>,
        /// Further attributes.
        attributes: serde_json::Map<String, serde_json::Value>,
    },
    /// A signed token, and what must be in it.
    Token {
        /// The token.
        token: String,
        /// Path of a JWK set, or a secret.
        by: TokenKey,
        /// JSON, and its line.
        expected: Option<(usize, String)>,
    },
    /// A command policy.
    Command {
        /// Prefix of the variables that its outputs become.
        label: Option<String>,
        /// Name and arguments.
        words: Vec<String>,
        /// Whether it must fail.
        fails: bool,
        /// JSON that its outputs must contain.
        expected: Option<(usize, String)>,
    },
    /// Runs a task now; it must succeed.
    Task(String),
    /// Statements to run.
    Sql {
        /// Connection.
        connection: String,
        /// Statements.
        text: String,
    },
    /// Rows that must be there.
    Rows {
        /// Connection.
        connection: String,
        /// Query.
        query: String,
        /// Line and columns.
        rows: Vec<(usize, Vec<String>)>,
    },
    /// Sends the next request this many times in parallel.
    Parallel(usize),
    /// A request.
    Request(Request),
    /// Raw bytes.
    Raw {
        /// Over TLS.
        secure: bool,
        /// Bytes.
        bytes: Vec<u8>,
    },
    /// What came back.
    Response(Expectation),
    /// What came back from parallel requests.
    Responses(Vec<(std::ops::RangeInclusive<usize>, Expectation)>),
    /// Milliseconds to move the clock.
    Clock(i64),
    /// Writes a file and reloads.
    Save {
        /// Path in the home.
        path: String,
        /// Content.
        content: Vec<u8>,
    },
    /// Deletes a file and reloads.
    Delete(String),
    /// Renames a file and reloads.
    Rename(String, String),
    /// The preceding edit was refused, with these texts in the log.
    Refused(Vec<(usize, String)>),
    /// The log contains, or does not contain, this text.
    Log {
        /// Whether it must contain it.
        contains: bool,
        /// Text.
        text: String,
    },
    /// Forget cookies, keep none.
    NoCookies,
    /// Another browser sends the following requests, with its own cookies.
    Browser(String),
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Over TLS.
    pub secure: bool,
    /// Name of the client certificate to present.
    pub certificate: Option<String>,
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Line, name, value.
    pub headers: Vec<(usize, String, String)>,
    /// Body.
    pub body: String,
}

/// The expected response.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Line of the status.
    pub line: usize,
    /// Acceptable statuses.
    pub status: Vec<u16>,
    /// Line, name, pattern; no pattern: must be absent.
    pub headers: Vec<(usize, String, Option<String>)>,
    /// Line where the body begins.
    pub body_line: usize,
    /// The body is exactly this.
    pub exact: bool,
    /// Body; empty: anything.
    pub body: Option<String>,
}

impl Case {
    /// Whether it stores texts that tables of a three-byte character set cannot hold.
    pub fn needs_all_characters(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.kind, StepKind::AllCharacters))
    }

    /// Whether the case is about databases of this kind.
    pub fn is_about(&self, dialect: Dialect) -> bool {
        self.steps.iter().all(|step| !matches!(&step.kind, StepKind::Only(dialects) if !dialects.contains(&dialect)))
    }
}

/// What verifies a token.
#[derive(Clone, Debug)]
pub enum TokenKey {
    /// The JWK set at this path of the gateway.
    Path(String),
    /// A shared secret.
    Secret(String),
}
