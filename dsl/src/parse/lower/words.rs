//! Grammar rules in an author's words: the spelling of keywords, and what the grammar expected where it stopped.

use super::Rule;

/// The spelling of a keyword's rule.
pub fn keyword(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::kw_at => "at",
        Rule::kw_every => "every",
        Rule::kw_methods => "methods",
        Rule::kw_errors => "errors",
        Rule::kw_paths => "paths",
        Rule::kw_disabled => "disabled",
        Rule::kw_fails => "fails",
        Rule::kw_set => "set",
        Rule::kw_default => "default",
        Rule::kw_declare => "declare",
        Rule::kw_connection => "connection",
        Rule::kw_include => "include",
        Rule::kw_extension => "extension",
        Rule::kw_if => "if",
        Rule::kw_else => "else",
        Rule::kw_for_each => "ForEach",
        Rule::kw_limit => "limit",
        Rule::kw_handle_errors => "HandleErrors",
        Rule::kw_on => "on",
        Rule::kw_error => "error",
        Rule::kw_raise => "Raise",
        Rule::kw_continue => "Continue",
        Rule::kw_stop => "Stop",
        Rule::kw_done => "Done",
        Rule::kw_fail => "fail",
        Rule::kw_not => "not",
        Rule::kw_as => "as",
        Rule::kw_ignoring => "ignoring",
        Rule::kw_case => "case",
        Rule::kw_is => "is",
        Rule::kw_empty => "empty",
        Rule::kw_contains => "contains",
        Rule::kw_all => "all",
        Rule::kw_any => "any",
        Rule::kw_in => "in",
        Rule::kw_matches => "matches",
        Rule::kw_starts => "starts",
        Rule::kw_ends => "ends",
        Rule::kw_with => "with",
        Rule::kw_length => "length",
        Rule::kw_count => "count",
        Rule::kw_file => "file",
        Rule::kw_json => "json",
        _ => return None,
    })
}

/// Where the grammar stopped, and what it expected there.
pub fn expectation(error: &pest::error::Error<Rule>) -> (usize, Vec<&'static str>) {
    let at = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
    };
    let mut expected = Vec::new();
    if let pest::error::ErrorVariant::ParsingError { positives, .. } = &error.variant {
        // Where any value may be, texts and durations are no words of their own.
        let value = positives.iter().any(|rule| matches!(rule, Rule::value | Rule::sum | Rule::call | Rule::number | Rule::raw));
        let of_value = |rule: &Rule| value && matches!(rule, Rule::duration | Rule::string | Rule::single_quoted);
        for rule in positives.iter().filter(|rule| !of_value(rule)) {
            if let Some(word) = expected_word(*rule).filter(|word| !expected.contains(word)) {
                expected.push(word);
            }
        }
    }
    (at, expected)
}

/// What an author would call it; `None` for what only the grammar knows.
fn expected_word(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::value | Rule::comparison | Rule::sum | Rule::call | Rule::var | Rule::number | Rule::raw => "a value",
        Rule::string | Rule::bare_name | Rule::single_quoted => "a name in quotes",
        Rule::variable_name => "the name of a variable",
        Rule::type_word => "a type",
        Rule::assign_sign => "`=`",
        Rule::colon => "`:`",
        Rule::comma => "`,`",
        Rule::paren_end => "`)`",
        Rule::block => "`{`",
        Rule::compare | Rule::empty | Rule::contains | Rule::compare_op => "a comparison",
        Rule::kw_in | Rule::one_of => "`in`",
        Rule::kw_on | Rule::on_error => "`on error`",
        Rule::kw_error => "`error`",
        Rule::kw_with => "`with`",
        Rule::kw_empty => "`empty`",
        Rule::kw_case => "`case`",
        Rule::bounds | Rule::range => "bounds such as `1..10`",
        Rule::choices => "choices such as `\"a\" | \"b\"`",
        Rule::duration => "a duration such as `5m`",
        Rule::method => "an HTTP method",
        Rule::json_object | Rule::json_array => "`{` or `[`",
        Rule::json_member | Rule::bare_key => "a member name in quotes",
        _ => return None,
    })
}
