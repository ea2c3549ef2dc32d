//! A tree as compact text, one statement a line.

use portcullis_dsl::ast::*;
use std::fmt::Write;

/// Prints a file.
pub fn print(file: &File) -> String {
    let mut out = String::new();
    if let Some(connection) = &file.connection {
        comments(&mut out, 0, &connection.leading);
        let tail = connection.trailing.as_ref().map_or(String::new(), |comment| format!(" // {:?}", comment.text));
        writeln!(out, "connection {}{tail}", expr(&connection.value)).unwrap();
    }
    for item in &file.items {
        comments(&mut out, 0, &item.leading);
        let head = match &item.kind {
            ItemKind::Fragment => "fragment".to_owned(),
            ItemKind::Assertion(list) | ItemKind::Command(list) => {
                let word = if matches!(item.kind, ItemKind::Command(_)) { "command" } else { "assertion" };
                let fails = list.iter().find(|param| param.failure).map(|param| format!(" fails with {}", param.name.node));
                format!("{word}{}{}", params(list), fails.unwrap_or_default())
            }

            ItemKind::Task(Schedule::Every(every)) => format!("task every {}", duration(every)),
            ItemKind::Task(Schedule::At(times)) => format!("task at {times:?}", times = times.node),
            ItemKind::Customize => "customize".to_owned(),
            ItemKind::Extension => "extension".to_owned(),
            ItemKind::Before => "before".to_owned(),
            ItemKind::After => "after".to_owned(),
            ItemKind::Service(head) => {
                let methods: Vec<&str> = head.methods.iter().map(|m| m.node.as_str()).collect();
                let errors = head.errors.as_ref().map_or(String::new(), |call| format!(" errors {}", self::call(call)));
                let raw = if head.raw_paths { " paths raw" } else { "" };
                let disabled = if head.disabled { " disabled" } else { "" };
                let paths: Vec<String> = head.paths.iter().map(|path| format!("{:?}", path.node)).collect();
                format!("service at {} [{}]{raw}{errors}{disabled}", paths.join(" "), methods.join(" "))
            }
        };
        writeln!(out, "{head} {:?}", item.name.node).unwrap();
        block(&mut out, 1, &item.body);
    }
    comments(&mut out, 0, &file.trailing);
    out
}

fn comments(out: &mut String, depth: usize, list: &[Comment]) {
    for comment in list {
        let marks = [(comment.blank_before, "blank before"), (comment.blank_after, "blank after")];
        let marks: Vec<&str> = marks.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" <{}>", marks.join(", ")) };
        writeln!(out, "{}{}{:?}{marks}", "  ".repeat(depth), if comment.doc { "doc " } else { "comment " }, comment.text)
            .unwrap();
    }
}

fn block(out: &mut String, depth: usize, block: &Block) {
    for stmt in &block.stmts {
        self::stmt(out, depth, stmt, "");
    }
    comments(out, depth, &block.trailing);
}

fn stmt(out: &mut String, depth: usize, stmt: &Stmt, prefix: &str) {
    if stmt.blank_before {
        out.push('\n');
    }
    comments(out, depth, &stmt.leading);
    let pad = "  ".repeat(depth);
    let tail = stmt.trailing.as_ref().map_or(String::new(), |comment| format!(" // {:?}", comment.text));
    let mut line = |text: String| writeln!(out, "{pad}{prefix}{text}{tail}").unwrap();
    match &stmt.kind {
        StmtKind::Set { target, ty, value } => line(format!("set {}{} {}", target.node, self::ty(ty), expr(value))),
        StmtKind::Default { target, ty, value } => line(format!("default {}{} {}", target.node, self::ty(ty), expr(value))),
        StmtKind::Declare { target, ty, allowed } => {
            line(format!("declare {}{}{}", target.node, self::ty(ty), self::allowed(allowed)))
        }
        StmtKind::Include(name) => line(format!("include {:?}", name.node)),
        StmtKind::IncludeExtension(name) => line(format!("include-extension {:?}", name.node)),
        StmtKind::Call(call) => {
            line(self::call(call));
            if let Some(body) = &call.block {
                block(out, depth + 1, body);
            }
        }
        StmtKind::Group { kind, label, body } => {
            line(format!("{kind:?}{}", label.as_ref().map_or(String::new(), |label| format!(" {:?}", label.node))));
            block(out, depth + 1, body);
        }
        StmtKind::If { arms, otherwise } => {
            for (n, (cond, body)) in arms.iter().enumerate() {
                let word = if n == 0 { "if" } else { "else-if" };
                writeln!(out, "{pad}{prefix}{word} {}{}", self::cond(cond), if n == 0 { tail.as_str() } else { "" }).unwrap();
                block(out, depth + 1, body);
            }
            if let Some(body) = otherwise {
                writeln!(out, "{pad}else").unwrap();
                block(out, depth + 1, body);
            }
        }
        StmtKind::ForEach { prefix, list, limit, body } => {
            let limit = limit.as_ref().map_or(String::new(), |limit| format!(" limit {}", limit.node));
            line(format!("for-each {} {}{limit}", prefix.node, expr(list)));
            block(out, depth + 1, body);
        }
        StmtKind::HandleErrors { prefix, body, handler } => {
            line(format!("handle-errors{}", prefix.as_ref().map_or(String::new(), |prefix| format!(" {:?}", prefix.node))));
            block(out, depth + 1, body);
            if let Some(handler) = handler {
                writeln!(out, "{pad}on-error").unwrap();
                block(out, depth + 1, handler);
            }
        }
        StmtKind::Raise(value) => line(format!("raise {}", expr(value))),
        StmtKind::Continue => line("continue".to_owned()),
        StmtKind::Stop => line("stop".to_owned()),
        StmtKind::Done => line("done".to_owned()),
        StmtKind::Fail(value) => line(format!("fail {}", expr(value))),
        StmtKind::Check(cond) => line(format!("check {}", self::cond(cond))),
        StmtKind::Else(left, right) => {
            line("else-chain".to_owned());
            self::stmt(out, depth + 1, left, "try ");
            self::stmt(out, depth + 1, right, "or ");
        }
    }
}

fn params(list: &[Param]) -> String {
    let one = |param: &Param| {
        let direction = if param.direction == Direction::In { "in" } else { "out" };
        let default = param.default.as_ref().map_or(String::new(), |value| format!(" = {}", expr(value)));
        let docs: String = param.leading.iter().chain(&param.trailing).map(|c| format!(" // {:?}", c.text)).collect();
        let mark = if param.optional { "?" } else { "" };
        format!("{direction} {}{mark}{}{}{default}{docs}", param.name.node, ty(&param.ty), allowed(&param.allowed))
    };
    format!("({})", list.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn allowed(allowed: &Option<portcullis_dsl::Spanned<Allowed>>) -> String {
    match allowed.as_ref().map(|allowed| &allowed.node) {
        None => String::new(),
        Some(Allowed::Range(range)) => format!(" {}", range.word()),
        Some(Allowed::Choice(words)) => format!(" {words:?}"),
    }
}

fn ty(ty: &Option<portcullis_dsl::Spanned<Type>>) -> String {
    ty.as_ref().map_or(String::new(), |ty| format!(": {:?}", ty.node))
}

fn duration(value: &DurationLit) -> String {
    format!("{}{:?}", value.count, value.unit)
}

fn around(comments: &Comments) -> String {
    comments.leading.iter().chain(&comments.trailing).chain(&comments.after).map(|c| format!(" // {:?}", c.text)).collect()
}

fn call(call: &Call) -> String {
    let name = match &call.callee {
        Callee::Native(name) => name.node.clone(),
        Callee::Encapsulated(name) => format!("{:?}", name.node),
    };
    let args: Vec<String> =
        call.args.iter().map(|a| format!("{}: {}{}", a.name.node, expr(&a.value), around(&a.comments))).collect();
    let mark = if call.optional.is_some() { "?" } else { "" };
    format!("call {name}{mark}({})", args.join(", "))
}

fn cond(cond: &Cond) -> String {
    let all = |list: &[Cond]| list.iter().map(self::cond).collect::<Vec<_>>().join(" ");
    match cond {
        Cond::Or(list) => format!("(or {})", all(list)),
        Cond::And(list) => format!("(and {})", all(list)),
        Cond::Not(inner) => format!("(not {})", self::cond(inner)),
        Cond::Truth(value) => expr(value),
        Cond::Call(call) => format!("({})", self::call(call)),
        Cond::Group(inner) => format!("(group {})", self::cond(inner)),
        Cond::Compare(c) => {
            let mode = if c.mode == Multi::All { String::new() } else { format!("{:?} ", c.mode) };
            let case = if c.ignore_case { " ignoring-case" } else { "" };
            let test = match &c.predicate {
                Predicate::Binary(op, right) => format!("{op:?} {}", expr(right)),
                Predicate::Empty => "empty".to_owned(),
                Predicate::NotEmpty => "not-empty".to_owned(),
                Predicate::Contains(right) => format!("contains {}", expr(right)),
                Predicate::ContainsAll(right) => format!("contains-all {}", expr(right)),
                Predicate::ContainsAny(right) => format!("contains-any {}", expr(right)),
                Predicate::In(right) => format!("in {}", expr(right)),
                Predicate::Matches(right) => format!("matches {}", expr(right)),
                Predicate::StartsWith(right) => format!("starts-with {}", expr(right)),
                Predicate::EndsWith(right) => format!("ends-with {}", expr(right)),
                Predicate::Length(bounds) => format!("length {:?}..{:?}", bounds.min, bounds.max),
                Predicate::Count(bounds) => format!("count {:?}..{:?}", bounds.min, bounds.max),
            };
            format!("({mode}{}{} {test}{case})", expr(&c.left), ty(&c.ty))
        }
    }
}

fn parts(parts: &[Part]) -> String {
    let one = |part: &Part| match part {
        Part::Text(text) => format!("{text:?}"),
        Part::Var(var) => self::var(var),
        Part::RawVar(var) => format!("raw {}", self::var(var)),
        Part::Expr(expr) => format!("expr {}", self::expr(expr)),
    };
    format!("<{}>", parts.iter().map(one).collect::<Vec<_>>().join(" "))
}

fn var(var: &VarRef) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Index(index) => format!("[{index}]"),
        PathStep::Member(name) => format!(".{name}"),
    };
    let index: String = var.path.iter().map(step).collect();
    let delimiter = var.delimiter.as_ref().map_or(String::new(), |delimiter| format!("|{delimiter:?}"));
    format!("${}{index}{delimiter}", var.name.node)
}

fn expr(expr: &Expr) -> String {
    let all = |list: &[Expr]| list.iter().map(self::expr).collect::<Vec<_>>().join(", ");
    match &*expr.kind {
        ExprKind::Text(list) => match list.as_slice() {
            [Part::Text(text)] => format!("{text:?}"),
            _ => parts(list),
        },
        ExprKind::Raw(text) => format!("raw {text:?}"),
        ExprKind::Int(number) => number.to_string(),
        ExprKind::Decimal(number) => format!("decimal {number}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Duration(value) => duration(value),
        ExprKind::List(list) => format!("[{}]", all(list)),
        ExprKind::Var(var) => self::var(var),
        ExprKind::Function(name, args) => format!("{}({})", name.node, all(args)),
        ExprKind::Arithmetic(op, left, right) => format!("({op:?} {} {})", self::expr(left), self::expr(right)),
        ExprKind::Condition(cond) => format!("({})", self::cond(cond)),
        ExprKind::Group(inner) => format!("(group {})", self::expr(inner)),
        ExprKind::Json(json) => format!("json {}", self::json(json)),
        ExprKind::Template(syntax, list) => format!("{syntax:?} {}", parts(list)),
        ExprKind::File(syntax, path) => format!("{syntax:?} file {:?}", path.node),
        ExprKind::DataUri(path) => format!("picture {:?}", path.node),
    }
}

/// Prints JSON.
pub fn json(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Value(value) => expr(value),
        Json::Array(list) => format!("[{}]", list.iter().map(self::json).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let one = |m: &JsonMember| {
                let mark = if m.optional { "?" } else { "" };
                format!("{}{mark}: {}{}", parts(&m.key), self::json(&m.value), around(&m.comments))
            };
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}
