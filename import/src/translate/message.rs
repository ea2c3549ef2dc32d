//! Messages: answers, headers, cookies, and what is found in documents.

use portcullis_dsl::ast::{BinaryOp, Cond, Json, Predicate};

use super::build::{self, arg, as_int, boolean, call, check, compare, int, is_variable, list, lit, native, pattern, var};
use super::logic::{compiles, lines, pair};
use super::{Made, Translator, text};
use crate::model::{Prop, Step};

impl Translator<'_> {
    /// What a client sent, put into a page or document as it is.
    fn body(&mut self, source: &str, kind: &str) -> portcullis_dsl::ast::Expr {
        let kind = kind.to_ascii_lowercase();
        let structured = ["html", "json", "xml", "javascript"].iter().find(|word| kind.contains(**word));
        if let Some(word) = structured
            && source.contains("${")
        {
            self.trap(13, &format!("a body of {word} is made of text: values are not escaped in it"));
            let client = |name: &str| {
                let name = name.to_ascii_lowercase();
                ["request.http.parameter", "request.http.header", "request.url", "request.mainpart", "request.http.cookie"]
                    .iter()
                    .any(|start| name.starts_with(start))
            };
            if text::names(source).any(client) {
                self.security(&format!(
                    "what a client sent goes unescaped into a body of {word}: write `json {{ … }}`, `xml` or `html`"
                ));
            }
        }
        self.text(source)
    }

    /// `HardcodedResponse`
    pub fn respond(&mut self, step: &Step) -> Made {
        let (kind, body) = (step.text("contentType").to_owned(), step.text("body").to_owned());
        let mut args = Vec::new();
        if step.text("status") != "200" {
            args.push(arg("status", self.number(step.text("status"))));
        }
        args.push(arg("type", self.text(&kind)));
        if !body.is_empty() {
            args.push(arg("body", self.body(&body, &kind)));
        }
        if step.is("earlyResponse") {
            self.note("the answer was sent at once there; here it is sent when the policy has ended");
        }
        Made::exact(call(native("Respond", args)))
    }

    /// `CustomizeErrorResponse`
    pub fn error_response(&mut self, step: &Step) -> Made {
        if step.text("errorLevel").eq_ignore_ascii_case("DROP_CONNECTION") {
            return Made::missing("an answer that drops the connection");
        }
        let (kind, body) = (step.text("contentType").to_owned(), step.text("content").to_owned());
        let mut args = vec![arg("status", self.number(step.text("httpStatus"))), arg("type", self.text(&kind))];
        if !body.is_empty() {
            args.push(arg("body", self.body(&body, &kind)));
        }
        let headers: Vec<(String, String)> = step.prop("extraHeaders").map(Prop::list).unwrap_or(&[]).iter().map(pair).collect();
        if !headers.is_empty() {
            args.push(arg("headers", self.object(&headers)));
        }
        Made::exact(call(native("CustomizeErrorResponse", args)))
    }

    /// `AddHeader`
    pub fn add_header(&mut self, step: &Step) -> Made {
        let kind = step.text("metadataType").to_ascii_uppercase();
        if !matches!(kind.as_str(), "" | "HTTP HEADER" | "HEADER" | "HTTP_HEADER") {
            return Made::missing(format!("a property of the kind `{}` of a message", step.text("metadataType")));
        }
        if step.is("evaluateNameAsExpression") {
            return Made::missing("a header whose name is a regular expression");
        }
        let target = self.target(step, "target");
        let mut args = vec![arg("target", self.target_name(&target)), arg("name", self.text(step.text("name")))];
        let value = step.text("value").to_owned();
        if step.text("operation").eq_ignore_ascii_case("REMOVE") {
            if step.is("evaluateValueExpression") && !value.is_empty() {
                if let Err(why) = compiles(&value) {
                    return Made::Missing(why);
                }
                args.push(arg("value", pattern(&value)));
            } else if !value.is_empty() {
                args.push(arg("value", pattern(&format!("^{}$", regex::escape(&value)))));
            }
            return Made::exact(call(native("RemoveHeader", args)));
        }
        args.push(arg("value", self.text(&value)));
        args.extend(step.is("removeExisting").then(|| arg("replace", boolean(true))));
        Made::exact(call(native("AddHeader", args)))
    }

    /// `ManageCookie`
    pub fn cookie(&mut self, step: &Step) -> Made {
        let target = self.target(step, "target");
        let attributes = |property: &str| -> Vec<(String, Option<String>)> {
            let all = step.prop(property);
            let one = |name: &str, prop: &Prop| {
                let original = prop.text_of("useOriginalValue").is_some_and(|value| value == "true");
                let value = prop.text_of("value").or_else(|| prop.text()).unwrap_or("").to_owned();
                (name.to_ascii_lowercase(), (!original).then_some(value))
            };
            match all {
                Some(Prop::Map(map)) => map.iter().map(|(name, prop)| one(name, prop)).collect(),
                Some(list) => list.list().iter().map(|prop| one(prop.text_of("name").unwrap_or(""), prop)).collect(),
                None => Vec::new(),
            }
        };
        let given = attributes("cookieAttributes");
        let find = |name: &str| given.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.clone());
        let mut args = vec![arg("target", self.target_name(&target))];
        let operation = step.text("operation").to_ascii_uppercase();
        if operation == "REMOVE" {
            let criteria = attributes("cookieCriteria");
            let name =
                criteria.iter().find(|(own, _)| own == "name").and_then(|(_, value)| value.clone()).or_else(|| find("name"));
            let Some(name) = name else { return Made::missing("removing cookies that are not named") };
            args.extend([arg("operation", lit("remove")), arg("name", self.text(&name))]);
            return Made::exact(call(native("ManageCookie", args)));
        }
        if operation == "UPDATE" && given.iter().any(|(_, value)| value.is_none()) {
            return Made::missing("a cookie that keeps some of its attributes");
        }
        let Some(name) = find("name") else { return Made::missing("a cookie with a name") };
        if operation == "ADD" {
            args.push(arg("operation", lit("add")));
        }
        args.extend([arg("name", self.text(&name)), arg("value", self.text(&find("value").unwrap_or_default()))]);
        for (theirs, ours) in [("path", "path"), ("domain", "domain")] {
            if let Some(value) = find(theirs).filter(|value| !value.is_empty()) {
                args.push(arg(ours, self.text(&value)));
            }
        }
        if let Some(age) = find("max-age").filter(|age| !age.is_empty()) {
            args.push(arg("max_age", self.seconds(&age)));
        }
        if target != "request" {
            for (theirs, ours) in [("secure", "secure"), ("httponly", "http_only")] {
                match find(theirs).unwrap_or_default().as_str() {
                    "true" => {}
                    "" | "false" => {
                        args.push(arg(ours, boolean(false)));
                        self.security(&format!("a cookie without `{ours}`"));
                    }
                    value => args.push(arg(ours, self.text(value))),
                }
            }
        }
        Made::exact(call(native("ManageCookie", args)))
    }

    /// `EvaluateJsonPathExpression`, both kinds
    pub fn json_path(&mut self, step: &Step) -> Made {
        let target = self.target(step, "target");
        let source = self.source(&target);
        let mut args = vec![arg("source", source), arg("expression", self.text(step.text("expression")))];
        let prefix = step.text("variablePrefix").to_owned();
        if prefix != "jsonPath" {
            args.push(arg("prefix", self.target_name(&prefix)));
        }
        Made::exact(call(native("EvaluateJsonPath", args)))
    }

    /// `RequestXpathAssertion`, `ResponseXpathAssertion`
    pub fn xpath(&mut self, step: &Step) -> Made {
        let default = if step.kind == "RequestXpath" { "request" } else { "response" };
        let source = if step.text("xmlMsgSrc").is_empty() { default } else { step.text("xmlMsgSrc") }.to_owned();
        let source = self.source(&source);
        let xpath = step.prop("xpathExpression");
        let expression = match xpath {
            Some(Prop::Text(text)) => text.clone(),
            Some(prop) => prop.text_of("expression").unwrap_or("").to_owned(),
            None => String::new(),
        };
        if ends_in_function(&expression) {
            return Made::missing("a function as the last step of an XPath");
        }
        let variables: Vec<String> = xpath_variables(&expression);
        let namespaces: Vec<(String, String)> = match xpath.and_then(|xpath| xpath.get("namespaces")) {
            Some(Prop::Map(map)) => map.iter().map(|(name, uri)| (name.clone(), uri.text().unwrap_or("").to_owned())).collect(),
            _ => Vec::new(),
        };
        let used: Vec<(String, String)> = namespaces
            .into_iter()
            .filter(|(name, _)| expression.contains(&format!("{name}:")) || expression.contains("${"))
            .filter(|(name, uri)| !name.is_empty() && !uri.is_empty())
            .collect();
        let mut args = vec![arg("source", source), arg("expression", self.text(&expression))];
        if !used.is_empty() {
            args.push(arg("namespaces", self.constants(&used)));
        }
        if !variables.is_empty() {
            let members = variables.iter().map(|name| {
                let value = self.variable(name).unwrap_or_else(|| lit(""));
                (build::literal_parts(name), false, Json::Value(value))
            });
            args.push(arg("variables", build::object(members.collect())));
        }
        let prefix = match step.text("variablePrefix") {
            "" if step.kind == "RequestXpath" => "requestXpath",
            "" => "responseXpath",
            prefix => prefix,
        };
        args.push(arg("prefix", self.target_name(prefix)));
        let made = vec![call(native("EvaluateXPath", args))];
        if variables.is_empty() { Made::Exact(made) } else { Made::rewritten(made, "variables of an XPath are named") }
    }

    /// `JsonTransformation`
    pub fn json_transformation(&mut self, step: &Step) -> Made {
        if !step.text("convention").eq_ignore_ascii_case("STANDARD") {
            return Made::missing("the JsonML convention");
        }
        let from = self.target(step, "target");
        let to = match step.prop("destinationMessageTarget") {
            Some(Prop::Map(_)) => self.target(step, "destinationMessageTarget"),
            _ => from.clone(),
        };
        let kept = match to.as_str() {
            "request" => return Made::missing("another body of the request itself"),
            "response" => self.fresh("converted"),
            other => other.to_owned(),
        };
        let to_json = step.text("transformation").to_ascii_uppercase().starts_with("XML");
        let mut args = vec![arg("source", self.source(&from)), arg("target", self.target_name(&kept))];
        if !to_json && let Some(root) = step.some("rootTagString").or(step.some("rootTag")) {
            args.push(arg("root", self.text(root)));
        }
        args.extend((to_json && step.is("useNumbersWhenPossible")).then(|| arg("typed", boolean(true))));
        let mut made = vec![call(native(if to_json { "XmlToJson" } else { "JsonToXml" }, args))];
        if to == "response" {
            let kind = if to_json { "application/json; charset=utf-8" } else { "text/xml; charset=utf-8" };
            made.push(call(native("Respond", vec![arg("type", lit(kind)), arg("body", var(&kept))])));
            return Made::rewritten(made, "the converted response is drafted");
        }
        self.note("namespaces of XML are left out here; there `xmlns` is a member");
        Made::Exact(made)
    }

    /// `HtmlFormDataAssertion`
    pub fn form_fields(&mut self, step: &Step) -> Made {
        let fields = step.prop("fieldSpecs").or(step.prop("fields")).map(Prop::list).unwrap_or(&[]);
        let member = |name: &str, value: portcullis_dsl::ast::Expr| (build::literal_parts(name), false, Json::Value(value));
        let mut all = Vec::new();
        for field in fields {
            let text = |name: &str| field.text_of(name).unwrap_or("");
            let mut members = vec![member("name", lit(text("name")))];
            match text("dataType").to_ascii_lowercase().as_str() {
                "number" => members.push(member("type", lit("number"))),
                "file" => return Made::missing("a form field that is a file"),
                _ => {}
            }
            for (theirs, ours, default) in [("minOccurs", "min", 0), ("maxOccurs", "max", 1)] {
                if let Some(count) = as_int(text(theirs)).filter(|count| *count != default) {
                    members.push(member(ours, int(count)));
                }
            }
            if text("allowEmpty") == "false" {
                members.push(member("empty", boolean(false)));
            }
            match text("allowedLocation").to_ascii_lowercase().as_str() {
                "url" => members.push(member("location", lit("url"))),
                "body" => members.push(member("location", lit("body"))),
                _ => {}
            }
            all.push(build::json_object(members));
        }
        let fields = build::expr(portcullis_dsl::ast::ExprKind::Json(Json::Array(all)));
        let mut args = vec![arg("fields", fields)];
        args.extend(step.is("disallowOtherFields").then(|| arg("others", boolean(false))));
        let methods: Vec<_> = [("allowGet", "GET"), ("allowPost", "POST")]
            .iter()
            .filter(|(own, _)| step.is(own))
            .map(|(_, word)| lit(word))
            .collect();
        let allowed = Cond::Compare(Box::new(compare(var("request.http.method"), Predicate::In(list(methods)))));
        Made::exact_all(vec![check(allowed), call(native("FormFields", args))])
    }

    /// `CodeInjectionProtectionAssertion`
    pub fn code_injection(&mut self, step: &Step) -> Made {
        let target = self.target(step, "target");
        let mut classes = Vec::new();
        for protection in step.prop("protections").map(Prop::list).unwrap_or(&[]) {
            let word = protection.text().or_else(|| protection.text_of("name")).unwrap_or("").to_ascii_uppercase();
            let class = ["HTML", "PHP", "SHELL", "LDAP_DN", "LDAP_SEARCH", "XPATH"].iter().find(|start| word.contains(**start));
            match class {
                Some(class) => classes.push(lit(&class.to_ascii_lowercase().replace('_', "-"))),
                None => return Made::missing(format!("protection against `{word}`")),
            }
        }
        let mut parts = Vec::new();
        for (theirs, ours) in [("includeUrlPath", "path"), ("includeUrlQueryString", "query"), ("includeBody", "body")] {
            if step.is(theirs) && (target == "request" || ours == "body") {
                parts.push(lit(ours));
            }
        }
        let mut args = vec![arg("target", self.target_name(&target))];
        if !classes.is_empty() {
            args.push(arg("classes", list(classes)));
        }
        args.push(arg("parts", list(parts)));
        Made::exact(call(native("CodeInjectionProtection", args)))
    }

    /// `RequestSizeLimit`
    pub fn size_limit(&mut self, step: &Step) -> Made {
        let target = self.target(step, "target");
        let limit = step.text("limit").to_owned();
        let bytes = match as_int(&limit) {
            Some(kilobytes) => int(kilobytes.saturating_mul(1024)),
            None => {
                let kilobytes = build::function("int", vec![self.text(&limit)]);
                build::expr(portcullis_dsl::ast::ExprKind::Arithmetic(
                    portcullis_dsl::ast::ArithmeticOp::Mul,
                    kilobytes,
                    int(1024),
                ))
            }
        };
        Made::exact(call(native("MessageSizeLimit", vec![arg("target", self.target_name(&target)), arg("bytes", bytes)])))
    }

    /// A text that may follow a line break rule of its step.
    pub fn broken_text(&mut self, step: &Step, property: &str) -> portcullis_dsl::ast::Expr {
        let text = lines(step.text(property), step.text("lineBreak"));
        self.text(&text)
    }
}

impl Made {
    /// Several statements that mean the same as the step.
    pub fn exact_all(stmts: Vec<portcullis_dsl::ast::Stmt>) -> Made {
        Made::Exact(stmts)
    }
}

/// `…/upper-case()`: a function as the last step that the gateway does not take there.
fn ends_in_function(expression: &str) -> bool {
    let Some(before) = expression.trim().strip_suffix("()") else { return false };
    let name_at = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == ':')).map_or(0, |at| at + 1);
    let (path, name) = before.split_at(name_at);
    // Those that XPath knows, the gateway takes.
    const KNOWN: [&str; 7] = ["name", "local-name", "namespace-uri", "string", "string-length", "normalize-space", "number"];
    let known = KNOWN.contains(&name) && !path.ends_with("//");
    path.ends_with('/') && !known && !matches!(name, "text" | "node" | "comment" | "processing-instruction")
}

/// Names after `$` outside of quotes.
fn xpath_variables(expression: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut quote = None;
    for (at, c) in expression.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '$') => {
                let tail = expression.get(at + 1..).unwrap_or("");
                let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(tail.len());
                let name = tail.get(..end).unwrap_or("").trim_end_matches(['.', '-']);
                if is_variable(name) && !names.iter().any(|own| own == name) {
                    names.push(name.to_owned());
                }
            }
            _ => {}
        }
    }
    names
}

/// `${left} == "text"`
pub fn equals(left: portcullis_dsl::ast::Expr, right: &str) -> Cond {
    Cond::Compare(Box::new(compare(left, Predicate::Binary(BinaryOp::Eq, lit(right)))))
}
