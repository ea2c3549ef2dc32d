//! Parts of the command line. `engine/tests/command_line` tests on the built program what whole commands print.

use super::*;

fn args(line: &str) -> Vec<std::ffi::OsString> {
    line.split(' ').map(Into::into).collect()
}

#[test]
fn the_definition_holds() {
    Cli::command().debug_assert();
}

#[test]
fn the_first_word_is_found_among_flags() {
    for (line, expected) in [
        ("portcullis --home /x client add --name serve", Some("client")),
        ("portcullis --home=/x check", Some("check")),
        ("portcullis serve --home /x", Some("serve")),
        ("portcullis --help", None),
        ("portcullis", None),
    ] {
        assert_eq!(first_word(&args(line)).as_deref(), expected, "{line}");
    }
}

#[test]
fn the_home_is_found_wherever_it_stands() {
    for line in
        ["portcullis --home /x client list", "portcullis client list --home /x", "portcullis client list --home=/x --json"]
    {
        assert_eq!(place_of(&args(line)).home, Some(PathBuf::from("/x")), "{line}");
    }
    assert_eq!(place_of(&args("portcullis client list")).home, None);
}
