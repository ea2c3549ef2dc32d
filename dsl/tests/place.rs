//! Finding nodes at a place: the `|` in a text, and the nodes around it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use portcullis_dsl::ast::{Item, Stmt};
use portcullis_dsl::place::{Node, nodes_at};
use portcullis_dsl::visit::{self, Visit};
use portcullis_dsl::{FileId, parse};

/// The texts of the nodes that contain the place marked by `|`, each after its kind.
fn at(marked: &str) -> Vec<String> {
    let offset = marked.find('|').expect("a mark");
    let text = marked.replacen('|', "", 1);
    let (file, diagnostics) = parse(FileId(0), &text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    let line = |node: &Node<'_>| {
        let kind = match node {
            Node::Item(_) => "item",
            Node::Param(_) => "param",
            Node::Stmt(_) => "stmt",
            Node::Call(_) => "call",
            Node::Arg(_) => "arg",
            Node::Comparison(_) => "comparison",
            Node::Expr(_) => "expr",
            Node::Var(_) => "var",
        };
        let span = node.span();
        format!("{kind} {}", &text[span.start as usize..span.end as usize])
    };
    nodes_at(&file, u32::try_from(offset).unwrap()).iter().map(line).collect()
}

#[test]
fn a_place_is_in_all_that_holds_it() {
    let policy = r#"fragment "A" { Say(what: "a ${us|er.name} b") }"#;
    assert_eq!(
        at(policy),
        [
            r#"item fragment "A" { Say(what: "a ${user.name} b") }"#,
            r#"stmt Say(what: "a ${user.name} b")"#,
            r#"call Say(what: "a ${user.name} b")"#,
            r#"arg what: "a ${user.name} b""#,
            r#"expr "a ${user.name} b""#,
            "var user.name",
        ]
    );
}

#[test]
fn blocks_conditions_and_parameters_have_places() {
    assert_eq!(at(r#"assertion "A" (in na|me, out b) { Continue }"#)[1..], ["param name"]);
    assert_eq!(at(r#"assertion "A" (in a = lo|wer("X")) { Continue }"#)[1..], [r#"expr lower("X")"#]);
    let inner = at(r#"fragment "A" { Transaction(connection: "c") { if ${a} == "x" { set b = 1|2 } } }"#);
    assert_eq!(inner.last().unwrap(), "expr 12");
    assert!(inner.contains(&"stmt set b = 12".to_owned()), "{inner:?}");
    let condition = at(r#"fragment "A" { if ${a} == |"x" { Stop } }"#);
    assert_eq!(condition[2..], [r#"comparison ${a} == "x""#, r#"expr "x""#]);
    assert_eq!(at(r#"connection ${sto|re}"#), ["expr ${store}", "var store"]);
}

#[test]
fn between_declarations_nothing_stands() {
    assert!(at("fragment \"A\" {}\n|\nfragment \"B\" {}").is_empty());
}

/// Users of the crate can walk a tree.
#[test]
fn a_visitor_sees_every_statement() {
    #[derive(Default)]
    struct Count(usize);
    impl<'a> Visit<'a> for Count {
        fn stmt(&mut self, stmt: &'a Stmt) {
            self.0 += 1;
            visit::walk_stmt(self, stmt);
        }
    }
    let (file, _) = parse(FileId(0), "fragment \"A\" { All { set a = 1; set b = 2 } else { Stop } }");
    let mut count = Count::default();
    let item: &Item = &file.items[0];
    visit::walk_item(&mut count, item);
    assert_eq!(count.0, 6);
}
