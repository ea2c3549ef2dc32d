//! Calls of assertions, with named arguments, and of functions, with positional arguments.

use super::{Lower, Node, Rule};
use crate::ast::{Arg, Call, Callee, Comments, Expr, ExprKind, VarRef};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

impl Lower<'_> {
    /// Whether a call is of an assertion: its name is in quotes or begins with a capital letter.
    pub fn is_assertion(&self, call: &Node<'_>) -> bool {
        call.as_str().starts_with(|c: char| c == '"' || c.is_ascii_uppercase())
    }

    pub fn assertion_call(&mut self, node: Node<'_>) -> Option<Call> {
        let span = self.span(&node);
        let (mut callee, mut args, mut optional) = (None, Vec::new(), None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::optional_mark => optional = Some(self.spanned((), &child)),
                Rule::string => callee = self.name(child).map(Callee::Encapsulated),
                Rule::callee_name => {
                    let name = self.spanned(child.as_str().to_owned(), &child);
                    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
                        let help = "functions give values; names of assertions begin with a capital letter";
                        self.error(codes::NOT_A_CONDITION, format!("`{}` is not an assertion", name.node), name.span, help);
                        return None;
                    }
                    callee = Some(Callee::Native(name));
                }
                Rule::arguments => args = self.named_arguments(child),
                _ => self.word(&child),
            }
        }
        Some(Call { callee: callee?, optional, args, block: None, span: Spanned::new((), span) })
    }

    pub fn named_arguments(&mut self, node: Node<'_>) -> Vec<Arg> {
        self.entries(node, |lower, node| lower.named_argument(node), |arg| &mut arg.comments)
    }

    fn named_argument(&mut self, node: Node<'_>) -> Option<Arg> {
        let span = self.span(&node);
        let (mut name, mut value) = (None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::shorthand => return self.part(child).map(|word| self.shorthand(&word)),
                Rule::value if name.is_none() => match self.lone(&child).filter(|word| word.as_rule() == Rule::bare_word) {
                    Some(word) => return Some(self.shorthand(&word)),
                    None => value = self.expr(child),
                },
                Rule::arg_name => name = Some(self.spanned(child.as_str().to_owned(), &child)),
                Rule::assign_sign => {
                    let place = self.span(&child);
                    self.error(codes::BAD_ARGUMENT, "arguments are given with `:`", place, "write `:` instead of `=`");
                }
                Rule::value => value = self.expr(child),
                _ => self.word(&child),
            }
        }
        let value = value?;
        if name.is_none() {
            self.error(
                codes::BAD_ARGUMENT,
                "this argument has no name",
                span,
                "write `name: value`, or `name` alone to pass the variable of this name",
            );
        }
        Some(Arg { name: name?, value, comments: Comments::default() })
    }

    /// `name` alone gives the same tree as `name: ${name}`.
    fn shorthand(&mut self, node: &Node<'_>) -> Arg {
        let name = self.spanned(node.as_str().to_owned(), node);
        let var = VarRef { name: name.clone(), path: Vec::new(), delimiter: None };
        let value = Expr::new(ExprKind::Var(var), name.span);
        Arg { name, value, comments: Comments::default() }
    }

    /// A call in the place of a value.
    pub fn function(&mut self, node: Node<'_>) -> Option<Expr> {
        let span = self.span(&node);
        if self.is_assertion(&node) {
            let help = "call it as a statement of its own, then read the variables that it sets";
            self.error(codes::NOT_A_VALUE, "an assertion gives no value", span, help);
            return None;
        }
        let (mut name, mut args) = (None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::callee_name => name = Some(self.spanned(child.as_str().to_owned(), &child)),
                Rule::optional_mark => {
                    let place = self.span(&child);
                    self.error(codes::BAD_ARGUMENT, "a function always gives a value", place, "remove the `?`");
                }
                Rule::arguments => args = self.positional(child),
                _ => self.word(&child),
            }
        }
        Some(Expr::new(ExprKind::Function(name?, args?), span))
    }

    fn positional(&mut self, node: Node<'_>) -> Option<Vec<Expr>> {
        let said = self.out.len();
        let entries = self.entries(
            node,
            |lower, node| {
                let mut value = None;
                for child in node.into_inner() {
                    match child.as_rule() {
                        Rule::arg_name => {
                            let span = lower.span(&child);
                            let diagnostic =
                                Diagnostic::error(codes::BAD_ARGUMENT, "functions take their arguments by position", span);
                            lower.out.push(diagnostic.help("remove the name; names of assertions begin with a capital letter"));
                        }
                        Rule::shorthand if lower.inside => {
                            value = lower.part(child).and_then(|word| lower.inside_name(&word));
                        }
                        Rule::shorthand => {
                            if let Some(word) = lower.part(child) {
                                lower.bare_word(&word);
                            }
                        }
                        Rule::value => value = lower.expr(child),
                        _ => lower.word(&child),
                    }
                }
                value.map(|value| (value, Comments::default()))
            },
            |entry| &mut entry.1,
        );
        let mut args = Vec::with_capacity(entries.len());
        for (expr, comments) in entries {
            self.loosen(comments);
            args.push(expr);
        }
        (self.out.len() == said).then_some(args)
    }
}
