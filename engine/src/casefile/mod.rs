//! Case files: one scenario each, with what exists, what is sent, and what must come back. Operators write them for
//! customizations (`portcullis test`), and the same runner runs this project's own suites. Every case has its own home, database,
//! ports and clock. So cases run in parallel and in any order, and "expires in an hour" takes no time.
//!
//! ```text
//! # A greeting names whom it greets.
//! == file services/hello.policy
//! service "Hello" at "/hello" methods GET {
//!     Respond(body: json { "hello": ${request.http.parameter.name} })
//! }
//! == request
//! GET /hello?name=world
//! == response
//! 200
//! content-type: application/json{*}
//! {"hello": "world"}
//! ```
//!
//! | section | meaning |
//! |---|---|
//! | `== include FILE` | the sections of another file, relative to this one, stand here |
//! | `== customization PATH`, `== file PATH` | a file of the home (`customizations/` is put before the first if it is missing) |
//! | `== file PATH base64`, `== save PATH base64` | the same with bytes, such as a picture |
//! | `== config` | YAML laid over `gateway.yaml` |
//! | `== only DIALECT…` | the case speaks of `sqlite`, `mysql` or `postgres`, and is not run on other databases |
//! | `== needs all characters` | the case stores texts that tables of a three-byte character set cannot hold, and is not run on such |
//! | `== user NAME PASSWORD [ROLE…]` | a user of the internal identity provider; one that is there already gets this password. Below: further attributes, as JSON |
//! | `== command [NAME:] WORDS…` | a command policy; its outputs become `{output}`, or `{NAME.output}`. Lines below: `fails`, or JSON |
//! | `== task NAME` | runs a task now; it must succeed |
//! | `== sql CONNECTION` | statements, each ending in `;` |
//! | `== rows CONNECTION` | a query, an empty line, and the rows it must give: columns divided by ` \| ` |
//! | `== request [https\|http] [cert=NAME] [note]` | request line, header lines, an empty line, the body; a form may take a line a parameter. `cert=NAME`: with a client certificate that nobody issued; `cert=ca:NAME`: that the gateway's authority issued |
//! | `== raw [https\|http]` | bytes to send as they are, with `\r \n \t \0 \xHH \\`; line ends in the file count for nothing |
//! | `== response` | what must come back, see below |
//! | `== token TOKEN by PATH`, `== token TOKEN by secret SECRET` | a signed token that the JWK set at this path verifies, or this secret. Below: JSON with its `header` and `payload` |
//! | `== parallel N` | the next request is sent N times at once; in it, `{nth}` counts them from 1 |
//! | `== responses` | then: lines `COUNTx STATUS [header: value]` (`COUNT+x`: or more), which must account for every answer |
//! | `== clock +TIME` | moves the clock, which otherwise stands still, e.g. `+3601s`, `+2h` |
//! | `== save PATH`, `== delete PATH`, `== rename OLD NEW` | an edit while the gateway runs; it has taken effect when the next section begins. `gateway.yaml` is laid over the case's settings |
//! | `== refused` | the edit before did not compile: the old set serves on, and the log has each of these lines |
//! | `== log contains TEXT`, `== log !contains TEXT` | what the log says so far |
//! | `== nocookies` | forgets cookies, and keeps none from here on |
//! | `== browser NAME` | the browser of this name sends what follows; each browser has its own cookies |
//!
//! A response is its status, then header lines (`name: value`, or `!name` for one that must be absent), then the body: JSON, of which
//! every member given must be there (`"{!}"`: must not), or lines that it must contain (`/regex/`, and `!` before either for the
//! contrary). `= ` before the body asks for exactly this one.
//!
//! `{*}` stands for anything and `{*:name}` keeps it as `{name}`. There are `{https}` and `{http}` (origins), `{now}` (epoch seconds),
//! `{form:NAME}` (a field of the last page), `{action}` (its form's action), `{cookie:NAME}`, and functions, which nest:
//! `{base64:…}`, `{base64url:…}`, `{unbase64url:…}`, `{url:…}`, `{lower:…}`, `{upper:…}`, `{sha256:…}` (base64url), `{hs256:KEY:…}`
//! (base64url), `{part:SEPARATOR:INDEX:…}`, `{repeat:COUNT:…}`, `{list:COUNT:…}` (divided by commas, `{nth}` in it counts from 1),
//! `{random:LENGTH}`, `{add:NUMBER:NUMBER}`.

mod browsers;
mod client;
mod cookies;
mod elsewhere;
mod gateway;
mod matching;
mod order;
mod page;
mod parse;
mod run;
mod scratch;
mod step;
mod text;
mod token;

pub use client::Answer;
pub use elsewhere::{Ask, Elsewhere, Sent, Turn};
pub use gateway::Lab;
pub use matching::Mismatch;
pub use step::{Case, Expectation, StepKind};

use std::fmt;

/// A problem with a case file, or with the gateway that it describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What was expected and what came, on several lines.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Failure { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests;
