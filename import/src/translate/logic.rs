//! Variables, texts, loops, calls.

use portcullis_dsl::ast::*;

use super::build::{self, arg, as_int, boolean, call, function, int, is_variable, lit, name, native, pattern, set, stmt, var};
use super::{Made, Translator};
use crate::model::{Prop, Step};
use crate::names::Target;

/// Most bytes of a compiled regular expression, as in the gateway.
const REGEX_BYTES: usize = 64 << 20;

/// Whether the gateway's regular expressions can do this.
pub fn compiles(regex: &str) -> Result<(), String> {
    let built = regex::RegexBuilder::new(&dot_all(regex)).size_limit(REGEX_BYTES).build();
    built.map(drop).map_err(|error| {
        let last = error.to_string().lines().last().unwrap_or("").trim().to_owned();
        format!("a regular expression that can do this: {last}")
    })
}

/// There a dot also matches line breaks.
pub fn dot_all(regex: &str) -> String {
    let (mut escaped, mut class, mut dot) = (false, false, false);
    for c in regex.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '.' if !class => dot = true,
            _ => {}
        }
    }
    if dot { format!("(?s){regex}") } else { regex.to_owned() }
}

/// A replacement as it is written there: a backslash takes the next character as it is.
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(next) => out.push(next),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

impl Translator<'_> {
    /// `SetVariable`
    pub fn set_variable(&mut self, step: &Step) -> Made {
        let target = step.text("variableToSet").to_owned();
        if !is_variable(&target) {
            return Made::missing(format!("a variable named `{target}`"));
        }
        let source = lines(step.text("expression"), step.text("lineBreak"));
        match step.text("dataType").to_ascii_lowercase().as_str() {
            "string" | "unknown" | "" => {
                let value = self.text(&source);
                Made::exact(set(&target, None, value))
            }
            "message" | "xml" => self.set_message(step, &target, &source),
            "int" if !source.contains("${") && source.trim().parse::<i64>().is_err() => {
                Made::rewritten(vec![stmt(StmtKind::Stop)], format!("`{source}` is never a whole number, so the step fails"))
            }
            "int" => {
                let value = self.number(&source);
                Made::exact(set(&target, Some(Type::Int), value))
            }
            "decimal" | "float" => {
                let value = self.text(&source);
                Made::exact(set(&target, Some(Type::Decimal), value))
            }
            "boolean" => {
                let value = self.text(&source);
                Made::exact(set(&target, Some(Type::Boolean), value))
            }
            "cert" | "certificate" => {
                let value = self.value(&source);
                Made::exact(set(&target, Some(Type::Certificate), value))
            }
            "datetime" => {
                self.moments.insert(target.to_ascii_lowercase());
                self.set_date(step, &target, &source)
            }
            other => Made::missing(format!("a variable of the type `{other}`")),
        }
    }

    fn set_message(&mut self, step: &Step, target: &str, source: &str) -> Made {
        let kind = step.text("contentType").to_owned();
        match target.to_ascii_lowercase().as_str() {
            "request" => return Made::missing("another body of the request itself"),
            "response" => {
                let args = vec![arg("type", self.text(&kind)), arg("body", self.text(source))];
                return Made::rewritten(vec![call(native("Respond", args))], "the response is drafted");
            }
            _ => {}
        }
        if source.is_empty() && !step.gives("contentType") {
            return Made::exact(set(target, Some(Type::Message), self.text(source)));
        }
        let value = function("message", vec![self.text(source), self.text(&kind)]);
        Made::exact(set(target, Some(Type::Message), value))
    }

    fn set_date(&mut self, step: &Step, target: &str, source: &str) -> Made {
        let offset = step.text("dateOffsetExpression").trim().to_owned();
        let unit = match step.text("dateOffsetField").trim() {
            "" | "13" => 1,
            "12" => 60,
            "10" | "11" => 3600,
            "5" | "6" | "7" => 86_400,
            "3" | "4" => 604_800,
            _ if offset.is_empty() => 1,
            other => return Made::missing(format!("an offset of a date in the calendar's field {other}")),
        };
        let format = step.text("dateFormat").trim().to_owned();
        if source.trim().is_empty() && offset.is_empty() {
            return Made::exact(set(target, None, var("gateway.time")));
        }
        let base = match (source.trim(), format.as_str()) {
            ("", _) => function("now", Vec::new()),
            (source, "" | "auto" | "<auto>" | "<Timestamp>" | "<Millisecond Timestamp>" | "<Second Timestamp>")
                if offset.is_empty() =>
            {
                let value = self.text(source);
                return Made::exact(set(target, Some(Type::DateTime), value));
            }
            (source, "<Second Timestamp>") => function("int", vec![self.text(source)]),
            (_, form) if offset.is_empty() && (form.contains("yyyy") || form.contains("EEE")) => {
                let value = self.text(source);
                self.note(&format!("a date in the form `{form}` is read by its own shape"));
                return Made::rewritten(vec![set(target, Some(Type::DateTime), value)], "dates are read by their shape");
            }
            _ => return Made::missing("an offset of a date that is not now"),
        };
        let sum = |op, number: Expr| {
            let scaled = if unit == 1 { number } else { build::expr(ExprKind::Arithmetic(ArithmeticOp::Mul, number, int(unit))) };
            build::expr(ExprKind::Arithmetic(op, base.clone(), scaled))
        };
        let value = match offset.strip_prefix('-').map(as_int) {
            Some(Some(number)) => sum(ArithmeticOp::Sub, int(number)),
            _ => match as_int(&offset) {
                Some(number) => sum(ArithmeticOp::Add, int(number)),
                None => {
                    let number = function("int", vec![self.text(&offset)]);
                    sum(ArithmeticOp::Add, number)
                }
            },
        };
        Made::rewritten(vec![set(target, Some(Type::DateTime), value)], "an offset is added to the seconds of now")
    }

    /// `ForEachLoop`
    pub fn for_each(&mut self, step: &Step) -> Made {
        let prefix = step.text("variablePrefix").to_owned();
        let list = step.text("loopVariable").to_owned();
        if !is_variable(&prefix) {
            return Made::missing(format!("a loop with the prefix `{prefix}`"));
        }
        let list = self.source(&list);
        if let Some(needs) = self.needs.take() {
            return Made::Missing(needs);
        }
        let limit = step.text("iterationLimit").trim().parse::<i64>().ok().filter(|limit| *limit > 0);
        let body = self.block(&step.children, false);
        let made = StmtKind::ForEach { prefix: name(prefix), list, limit: limit.map(build::at), body };
        Made::exact(stmt(made))
    }

    /// `HandleErrors`
    pub fn handle_errors(&mut self, step: &Step) -> Made {
        let prefix = step.text("variablePrefix").to_owned();
        let body = self.block(&step.children, false);
        if !is_variable(&prefix) {
            return Made::missing(format!("an error's prefix `{prefix}`"));
        }
        let prefix = (prefix != "handleError").then(|| name(prefix));
        Made::exact(stmt(StmtKind::HandleErrors { prefix, body, handler: None }))
    }

    /// `Include`
    pub fn include(&mut self, step: &Step) -> Made {
        let (guid, own) = (step.text("policyGuid"), step.text("policyName"));
        match self.names.fragment(guid, own) {
            Some(Target { name: own, .. }) => Made::exact(stmt(StmtKind::Include(name(own.clone())))),
            None if self.names.extension(guid).is_some() => {
                let own = self.names.extension(guid).unwrap_or("").to_owned();
                Made::exact(stmt(StmtKind::IncludeExtension(name(own))))
            }
            None if self.names.is_hook(own) => Made::Nothing(format!("`{own}` is filled by the shipped policy itself")),
            None => {
                let which = if own.is_empty() { guid } else { own };
                Made::missing(format!("the policy `{which}`, which the export lacks"))
            }
        }
    }

    /// `Encapsulated`
    pub fn encapsulated(&mut self, step: &Step) -> Made {
        let (guid, own) = (step.text("guid").to_owned(), step.text("name").to_owned());
        let given: Vec<(String, String)> = match step.prop("parameters") {
            Some(Prop::Map(map)) => {
                map.iter().map(|(name, value)| (name.clone(), value.text().unwrap_or("").to_owned())).collect()
            }
            _ => Vec::new(),
        };
        let target = match self.names.assertion(&guid, &own, given.iter().map(|(name, _)| name.as_str())) {
            Some(target) => target.clone(),
            None if step.is("noOpIfConfigMissing") => {
                return Made::rewritten(vec![stmt(StmtKind::Continue)], format!("`{own}` is optional, and absent"));
            }
            None => {
                let which = if own.is_empty() { guid } else { own };
                return Made::missing(format!("the assertion `{which}`, which neither the export nor this gateway has"));
            }
        };
        let mut args = Vec::new();
        for (name, value) in given {
            let Some(input) = target.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(&name)) else {
                self.find(
                    crate::report::Topic::Dropped,
                    &format!("`{}` has no input `{name}`; it counted for nothing there", target.name),
                );
                continue;
            };
            let value = match input.message && is_variable(&value) {
                true => var(&value),
                false => self.text(&value),
            };
            args.push(arg(&input.name, value));
        }
        for input in target.inputs.iter().filter(|input| input.required) {
            // There the caller's variable of this name was taken silently.
            if !args.iter().any(|arg: &Arg| arg.name.eq_ignore_ascii_case(&input.name)) && is_variable(&input.name) {
                args.push(arg(&input.name, var(&input.name)));
            }
        }
        let callee = Callee::Encapsulated(name(target.name.clone()));
        let made = call(Call { callee, ..native("", args) });
        if target.shipped {
            return Made::rewritten(vec![made], format!("this gateway's own `{}` is called", target.name));
        }
        Made::exact(made)
    }

    /// `AuditDetail`
    pub fn audit_detail(&mut self, step: &Step) -> Made {
        let detail = step.text("detail").to_owned();
        for confidential in &crate::known::toolkit().confidential {
            let named = |name: &str| {
                let last = name.rsplit('.').next().unwrap_or(name);
                last.eq_ignore_ascii_case(confidential) || name.eq_ignore_ascii_case(confidential)
            };
            if super::text::names(&detail).any(named) {
                self.security(&format!("an audit text shows `{confidential}`"));
                self.trap(26, &format!("an audit text shows `{confidential}`"));
                break;
            }
        }
        let mut args = vec![arg("message", self.text(&detail))];
        let level = step.text("level").to_ascii_lowercase();
        if !matches!(level.as_str(), "info" | "") {
            args.push(arg("level", lit(&level)));
        }
        if step.is("loggingOnly") {
            args.push(arg("sink", lit("log")));
        }
        if let Some(logger) = step.some("customLoggerSuffix") {
            args.push(arg("logger", self.text(logger)));
        }
        Made::exact(call(native("AuditDetail", args)))
    }

    /// `Regex`
    pub fn regex(&mut self, step: &Step) -> Made {
        let regex = step.text("regex").to_owned();
        let has_variables = step.is("patternContainsVariables") && regex.contains("${");
        let expression = match has_variables {
            true => self.text(&dot_all(&regex)),
            false => match compiles(&regex) {
                Ok(()) => pattern(&dot_all(&regex)),
                Err(why) => return Made::Missing(why),
            },
        };
        let target = self.target(step, "target");
        let source = match target.as_str() {
            "request" | "response" => self.source(&format!("{target}.mainpart")),
            other => self.source(other),
        };
        let mut args = vec![arg("source", source), arg("pattern", expression)];
        let ignores_case = step.is("caseInsensitive").then(|| arg("ignore_case", boolean(true)));
        let plain = dot_all(&regex) == regex;
        let exact = |made: Vec<Stmt>| {
            if plain { Made::Exact(made) } else { Made::rewritten(made, "a dot also matches line breaks: `(?s)`") }
        };
        if !step.is("replace") {
            if let Some(captures) = step.some("captureVar") {
                args.push(arg("captures", self.target_name(captures)));
            }
            args.extend(step.is("findAll").then(|| arg("find_all", boolean(true))));
            args.extend((!step.is("includeEntireExpressionCapture")).then(|| arg("whole", boolean(false))));
            args.extend(ignores_case);
            args.extend((!step.is("proceedIfPatternMatches")).then(|| arg("proceed_if_matches", boolean(false))));
            return exact(vec![call(native("RegexMatch", args))]);
        }
        args.push(arg("replacement", self.text(&replacement(step.text("replacement")))));
        let kept = match target.as_str() {
            "request" => return Made::missing("another body of the request itself"),
            "response" => self.fresh("body"),
            other => other.to_owned(),
        };
        args.push(arg("target", self.target_name(&kept)));
        args.extend(ignores_case);
        let times = 1 + step.text("replaceRepeatCount").trim().parse::<usize>().unwrap_or(0).min(10);
        let mut made = vec![call(native("RegexReplace", args)); times];
        if target != "response" {
            return exact(made);
        }
        let args =
            vec![arg("status", var("response.http.status")), arg("type", var("response.contentType")), arg("body", var(&kept))];
        made.push(call(native("Respond", args)));
        Made::rewritten(made, "the changed response is drafted anew")
    }

    /// `ManipulateMultiValuedVariable`
    pub fn manipulate(&mut self, step: &Step) -> Made {
        let source = self.source(step.text("source"));
        let target = self.target_name(step.text("target"));
        Made::exact(call(native("ManipulateMultivalued", vec![arg("source", source), arg("target", target)])))
    }

    /// `Split`
    pub fn split(&mut self, step: &Step) -> Made {
        let mut args = vec![
            arg("source", self.source(step.text("inputVariable"))),
            arg("target", self.target_name(step.text("outputVariable"))),
        ];
        let separator = step.text("splitPattern").to_owned();
        let separator = if step.is("splitPatternRegEx") { separator } else { regex::escape(&separator) };
        if let Err(why) = compiles(&separator) {
            return Made::Missing(why);
        }
        if separator != "," {
            args.push(arg("separator", pattern(&separator)));
        }
        args.extend(step.is("ignoreEmptyValues").then(|| arg("ignore_empty", boolean(true))));
        Made::exact(call(native("Split", args)))
    }

    /// `Join`
    pub fn join(&mut self, step: &Step) -> Made {
        let mut args = vec![
            arg("source", self.source(step.text("inputVariable"))),
            arg("target", self.target_name(step.text("outputVariable"))),
        ];
        if step.text("separator") != "," {
            args.push(arg("separator", lit(step.text("separator"))));
        }
        Made::exact(call(native("Join", args)))
    }

    /// `MapValue`
    pub fn map_value(&mut self, step: &Step) -> Made {
        let source = self.text(step.text("inputExpr"));
        let target = step.text("outputVar").to_owned();
        let target_name = self.target_name(&target);
        let pairs: Vec<(String, String)> = step.prop("mappings").map(Prop::list).unwrap_or(&[]).iter().map(pair).collect();
        if let Some(why) = pairs.iter().filter(|(key, _)| !key.contains("${")).find_map(|(key, _)| compiles(key).err()) {
            return Made::Missing(why);
        }
        if pairs.iter().all(|(key, _)| !key.contains("${")) {
            let members =
                pairs.iter().map(|(key, value)| (build::literal_parts(&dot_all(key)), false, Json::Value(self.text(value))));
            let map = build::object(members.collect());
            return Made::exact(call(native(
                "MapValue",
                vec![arg("source", source), arg("map", map), arg("target", target_name)],
            )));
        }
        let arms = pairs.iter().map(|(key, value)| {
            let found = call(native("RegexMatch", vec![arg("source", source.clone()), arg("pattern", self.text(&dot_all(key)))]));
            let kept = set(&target, None, self.text(value));
            build::group(GroupKind::All, None, build::block(vec![found, kept]))
        });
        let arms = arms.collect();
        Made::rewritten(vec![build::group(GroupKind::AtLeastOne, None, build::block(arms))], "its patterns have variables")
    }

    /// `UUIDGenerator`
    pub fn uuid(&mut self, step: &Step) -> Made {
        let mut args = vec![arg("target", self.target_name(step.text("target")))];
        if step.text("quantity") != "1" {
            args.push(arg("quantity", self.number(step.text("quantity"))));
        }
        Made::exact(call(native("GenerateUuid", args)))
    }
}

/// A pair of a list: its key and value.
pub fn pair(prop: &Prop) -> (String, String) {
    let text = |names: &[&str]| names.iter().find_map(|name| prop.text_of(name)).unwrap_or("").to_owned();
    (text(&["key", "name"]), text(&["value"]))
}

/// Line breaks as a step has them.
pub fn lines(text: &str, breaks: &str) -> String {
    let plain = text.replace("\r\n", "\n").replace('\r', "\n");
    match breaks {
        "LF" => plain,
        "CR" => plain.replace('\n', "\r"),
        _ => plain.replace('\n', "\r\n"),
    }
}
