//! Databases and caches.

use portcullis_dsl::ast::{Call, Expr, ExprKind, Part, Syntax};

use super::build::{self, arg, as_int, at, call, int, is_variable, lit, native, seconds, set, var};
use super::{Made, Translator};
use crate::model::{Prop, Step};

/// The namespace of a query's result as XML.
const QUERY_RESULT: &str = "http://ns.l7tech.com/2012/08/jdbc-query-result";

impl Translator<'_> {
    /// `JdbcQuery`
    pub fn jdbc(&mut self, step: &Step) -> Made {
        let prefix = step.text("variablePrefix").to_owned();
        let query = match self.sql(step.text("sqlQuery")) {
            Ok(query) => query,
            Err(why) => return Made::Missing(why),
        };
        let mut args = vec![arg("connection", self.text(step.text("connectionName"))), arg("query", query)];
        args.push(arg("prefix", self.target_name(&prefix)));
        args.push(arg("max_rows", int(as_int(step.text("maxRecords")).unwrap_or(10))));
        args.push(arg("on_fault", lit("fail")));
        if let Some(timeout) = step.some("queryTimeout").filter(|timeout| *timeout != "0" && *timeout != "-1") {
            args.push(arg("timeout", self.seconds(timeout)));
        }
        if let Some(schema) = step.some("schema") {
            let schema = schema.to_owned();
            self.note(&format!("the schema `{schema}` of a query is part of the connection here"));
        }
        let fails = step.is("assertionFailureEnabled");
        let optional = (!fails).then(|| at(()));
        let mut made = vec![call(Call { optional, ..native("SqlQuery", args) })];
        for (column, variable) in naming(step.prop("namingMap")) {
            if column.eq_ignore_ascii_case(&variable) {
                continue;
            }
            let (from, to) = (format!("{prefix}.{column}"), format!("{prefix}.{variable}"));
            if !is_variable(&from) || !is_variable(&to) {
                return Made::missing(format!("a column named `{column}` as `{variable}`"));
            }
            made.push(set(&to, None, var(&from)));
        }
        if step.is("generateXmlResult") {
            let rows = var(&format!("{prefix}.rows"));
            let value = build::function("xml_rows", vec![rows, lit("L7j:jdbcQueryResult"), lit(QUERY_RESULT)]);
            made.push(set(&format!("{prefix}.xmlResult"), None, value));
        }
        Made::rewritten(made, "an error of the database fails the step")
    }

    /// A statement. There a variable in quotes is a bound value all the same.
    fn sql(&mut self, source: &str) -> Result<Expr, String> {
        let mut unquoted = String::with_capacity(source.len());
        let mut rest = source.trim();
        while let Some(at) = rest.find("'${") {
            let (before, tail) = rest.split_at(at);
            let inside = tail.get(1..).unwrap_or("");
            let Some(end) = inside.find('}') else { break };
            unquoted.push_str(before);
            let variable = inside.get(..=end).unwrap_or("");
            let after = inside.get(end + 1..).unwrap_or("");
            match after.strip_prefix('\'') {
                Some(after) => {
                    self.trap(21, &format!("`'{variable}'`: a bound value has no quotes"));
                    unquoted.push_str(variable);
                    rest = after;
                }
                None => return Err(format!("a variable inside a quoted text of SQL: `'{variable}…`")),
            }
        }
        unquoted.push_str(rest);
        let unquoted = unquoted.replace("\r\n", "\n").replace(['\r', '\t'], " ");
        // Blanks at a line's end mean nothing in SQL, outside of quotes.
        let trimmed: Vec<&str> = unquoted.lines().map(str::trim_end).collect();
        let lines: Vec<&str> = trimmed.into_iter().filter(|line| !line.is_empty()).collect();
        let parts = self.parts(&dedent(&lines));
        let parts = parts.into_iter().map(|part| {
            if let Part::Var(mut var) = part {
                var.delimiter = None;
                Part::Var(var)
            } else {
                part
            }
        });
        Ok(build::expr(ExprKind::Template(Syntax::Sql, parts.collect())))
    }

    /// `CacheStorage`
    pub fn cache_store(&mut self, step: &Step) -> Made {
        let target = self.target(step, "target");
        let mut args = vec![
            arg("cache", self.text(step.text("cacheId"))),
            arg("key", self.text(step.text("cacheEntryKey"))),
            arg("value", self.source(&target)),
            arg("max_entries", self.number(step.text("maxEntries"))),
            arg("max_age", self.seconds(step.text("maxEntryAgeSeconds"))),
        ];
        args.push(arg("max_size", self.number(step.text("maxEntrySizeBytes"))));
        Made::exact(call(native("CacheStore", args)))
    }

    /// `CacheLookup`
    pub fn cache_lookup(&mut self, step: &Step) -> Made {
        let target = self.target(step, "target");
        let kept = match target.as_str() {
            "request" => return Made::missing("another body of the request itself"),
            "response" => self.fresh("cached"),
            other => other.to_owned(),
        };
        let args = vec![
            arg("cache", self.text(step.text("cacheId"))),
            arg("key", self.text(step.text("cacheEntryKey"))),
            arg("max_age", self.seconds(step.text("maxEntryAgeSeconds"))),
            arg("target", self.target_name(&kept)),
        ];
        let mut made = vec![call(native("CacheLookup", args))];
        let kind = step.some("contentTypeOverride").map(str::to_owned);
        if target == "response" {
            let kind = match kind {
                Some(kind) => self.text(&kind),
                None => var(&format!("{kept}.contentType")),
            };
            let body = var(&format!("{kept}.mainpart"));
            made.push(call(native("Respond", vec![arg("type", kind), arg("body", body)])));
            return Made::rewritten(made, "the cached answer is drafted");
        }
        if let Some(kind) = kind {
            let value = build::function("message", vec![var(&kept), self.text(&kind)]);
            made.push(set(&kept, Some(portcullis_dsl::ast::Type::Message), value));
            return Made::rewritten(made, "the cached message gets its content type");
        }
        Made::Exact(made)
    }

    /// `WssReplayProtection`, of messages that a variable identifies
    pub fn replay_protection(&mut self, step: &Step) -> Made {
        if !step.is("customProtection") {
            return Made::missing("protection of messages that WS-Security identifies");
        }
        let id = self.source(step.text("customIdentifierVariable"));
        let millis = as_int(step.text("customExpiryTime")).and_then(|millis| u64::try_from(millis).ok());
        let Some(millis) = millis.filter(|millis| *millis > 0) else {
            return Made::missing("a time after which a message is forgotten");
        };
        let expiry = seconds(millis.div_ceil(1000));
        let mut args = vec![arg("id", id), arg("expiry", expiry)];
        if let Some(scope) = step.some("customScope") {
            args.push(arg("scope", self.text(scope)));
        }
        Made::exact(call(native("ProtectAgainstReplay", args)))
    }

    /// `RateLimit`
    pub fn rate_limit(&mut self, step: &Step) -> Made {
        if step.text("maxConcurrency") != "0" && step.some("maxConcurrency").is_some() {
            return Made::missing("a limit of requests at the same time");
        }
        if step.is("shapeRequests") {
            return Made::missing("requests that wait for their turn in a rate");
        }
        let key = preset(step.text("counterName"));
        let rate = step.text("maxRequestsPerSecond").to_owned();
        let window = as_int(step.text("windowSizeInSeconds")).unwrap_or(1).max(1);
        let limit = match as_int(&rate) {
            Some(rate) => int(rate.saturating_mul(window)),
            None if window == 1 => self.number(&rate),
            None => {
                let rate = build::function("int", vec![self.text(&rate)]);
                build::expr(ExprKind::Arithmetic(portcullis_dsl::ast::ArithmeticOp::Mul, rate, int(window)))
            }
        };
        let mut args = vec![arg("key", self.text(&key)), arg("limit", limit)];
        if window != 1 {
            args.push(arg("per", seconds(u64::try_from(window).unwrap_or(1))));
        }
        let made = call(native("RateLimit", args));
        if step.is("logOnly") {
            let made = build::or_else(made, build::stmt(portcullis_dsl::ast::StmtKind::Continue));
            return Made::rewritten(vec![made], "the rate is only counted");
        }
        Made::exact(made)
    }
}

/// Lines without the indentation that all share.
fn dedent(lines: &[&str]) -> String {
    let indent = |line: &&str| line.len() - line.trim_start_matches(' ').len();
    // The first line stands behind a tag: its indentation says nothing.
    let common = lines.iter().skip(1).map(indent).min().unwrap_or(0);
    let cut = |(n, line): (usize, &&str)| {
        if n == 0 { line.trim_start().to_owned() } else { line.get(common..).unwrap_or("").to_owned() }
    };
    lines.iter().enumerate().map(cut).collect::<Vec<_>>().join("\n")
}

/// Columns and the names that a query gives them.
fn naming(prop: Option<&Prop>) -> Vec<(String, String)> {
    match prop {
        Some(Prop::Map(map)) => map.iter().map(|(column, name)| (column.clone(), name.text().unwrap_or("").to_owned())).collect(),
        Some(list) => list
            .list()
            .iter()
            .map(|pair| {
                let text = |name: &str| pair.text_of(name).unwrap_or("").to_owned();
                (text("columnLabel"), text("variableName"))
            })
            .collect(),
        None => Vec::new(),
    }
}

/// `PRESET(${request.clientid})` names one of the counters that the tool offers: what is inside counts.
fn preset(counter: &str) -> String {
    let Some((before, rest)) = counter.split_once("PRESET(") else { return counter.to_owned() };
    match rest.rsplit_once(')') {
        Some((inside, after)) => format!("{before}{inside}{after}"),
        None => counter.to_owned(),
    }
}
