//! What browsers remember between requests: cookies, the fields of the last page, the next address.

use std::collections::HashMap;

use super::client::Answer;
use super::cookies::Jar;
use super::page;
use super::text::Vars;

/// The browsers of a scenario. One of them sends.
#[derive(Debug, Default)]
pub(super) struct Browsers {
    /// Name of the one that sends.
    name: String,
    /// Its cookies.
    jar: Jar,
    /// Cookies of the others, by name.
    others: HashMap<String, Jar>,
}

impl Browsers {
    /// Switches to the browser of this name.
    pub(super) fn take(&mut self, name: &str, vars: &mut Vars) {
        let jar = std::mem::take(&mut self.jar);
        let before = std::mem::replace(&mut self.name, name.to_owned());
        self.others.insert(before, jar);
        self.jar = self.others.remove(name).unwrap_or_default();
        self.name_cookies(vars);
    }

    /// Forgets cookies, and keeps none from here on.
    pub(super) fn close(&mut self) {
        self.jar.close();
    }

    /// The `Cookie` field for a request.
    pub(super) fn field(&self, path: &str, secure: bool, now: i64) -> Option<String> {
        self.jar.field(path, secure, now)
    }

    /// Remembers what an answer to a request for this path gives.
    pub(super) fn learn(&mut self, answer: &Answer, path: &str, now: i64, vars: &mut Vars) {
        for field in answer.header_values("set-cookie") {
            self.jar.take(field, path, now);
        }
        self.name_cookies(vars);
        if let Some(location) = answer.header("location") {
            vars.set("location", location);
        }
        if answer.header("content-type").is_some_and(|value| value.contains("html")) {
            let (fields, action) = page::fields(&answer.text());
            vars.forget("form:");
            for (name, value) in fields {
                vars.set(format!("form:{name}"), value);
            }
            vars.set("action", action.unwrap_or_else(|| path.to_owned()));
        }
    }

    /// `{cookie:NAME}` for each cookie.
    fn name_cookies(&self, vars: &mut Vars) {
        vars.forget("cookie:");
        for (name, value) in self.jar.all() {
            vars.set(format!("cookie:{name}"), value);
        }
    }
}
