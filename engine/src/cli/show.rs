//! `portcullis show` and `portcullis explain`.

use std::process::ExitCode;

use portcullis_dsl::diagnostic::nearest;
use portcullis_dsl::resolve::Explanation;
use portcullis_dsl::{Edit, Library, Policy};

use super::{Done, Failure, Place, say};
use crate::policy::site;

/// The policies as far as they can be read: looking something up must also work while the policies contain mistakes.
pub(super) fn library(place: &Place) -> Result<Library, Failure> {
    let sources = place.any_home()?.sources().map_err(|problems| Failure {
        message: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        code: 1,
    })?;
    Ok(portcullis_dsl::load(sources, &site::catalogue()).0)
}

pub fn show(place: &Place, name: &str) -> Done {
    let library = library(place)?;
    let found: Vec<&Policy> = library.policies().iter().filter(|policy| policy.name == name).collect();
    if !found.is_empty() {
        for (at, policy) in found.iter().enumerate() {
            if at > 0 {
                say("");
            }
            say(format!("// {}", library.sources().place(policy.item.span)));
            say(text(&library, policy));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let sources = library.sources();
    let file = sources.files.iter().find(|file| file.path == name).map(|file| &*file.text);
    if let Some(text) = file.or_else(|| sources.data.get(name).map(|text| &**text)) {
        say(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    // Case and the `#` of a hook's name are easily forgotten.
    let bare = name.trim_start_matches('#');
    let names = library.policies().iter().map(|policy| policy.name.as_str());
    let help = match nearest(bare, names.clone()).or_else(|| containing(bare, names)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Err(Failure { message: format!("there is no policy or file `{name}`{help}"), code: 1 })
}

fn containing<'a>(part: &str, mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let part = part.to_lowercase();
    names.find(|name| name.to_lowercase().contains(&part))
}

/// A declaration as written, with the comments before it.
fn text(library: &Library, policy: &Policy) -> String {
    let source = &library.sources().get(policy.file).text;
    let declaration = source.get(policy.item.span.start as usize..policy.item.span.end as usize).unwrap_or("");
    let before = source.get(..policy.item.span.start as usize).unwrap_or("");
    let mut comments: Vec<&str> = before.lines().rev().take_while(|line| line.trim_start().starts_with("//")).collect();
    comments.reverse();
    comments.into_iter().chain([declaration]).collect::<Vec<_>>().join("\n")
}

pub fn explain(place: &Place, name: &str) -> Done {
    let library = library(place)?;
    let explanation = library.explain(name);
    if explanation.is_empty() {
        return Err(Failure { message: explanation.to_string(), code: 1 });
    }
    say(explanation.to_string().trim_end());
    say(format!("\n{}", edits(place, &library, &explanation)?));
    Ok(ExitCode::SUCCESS)
}

/// Most files that are named.
const NAMED: usize = 12;

/// Where to write what changes it.
fn edits(place: &Place, library: &Library, explanation: &Explanation) -> Result<String, Failure> {
    let edits = library.edits(explanation.name.trim_start_matches('#'));
    if edits.is_empty() {
        return Ok(if explanation.builtin.is_some() {
            "to change it: nothing to edit, the gateway sets it".to_owned()
        } else {
            "to change it: it has no hook, so upgrades keep it as it is; `portcullis list hooks` shows what can be customized"
                .to_owned()
        });
    }
    let home = place.any_home()?;
    let line = |edit: &Edit| {
        let file = home.path(&edit.file);
        // A shipped customization that is missing in the home is created there.
        let make = if file.exists() { "" } else { " (make it)" };
        let text = edit.text.as_ref().map(|text| format!("\n        {text}")).unwrap_or_default();
        format!("    {}{make}{text}", file.display())
    };
    let more = edits.len().saturating_sub(NAMED);
    let mut lines: Vec<String> = edits.iter().take(NAMED).map(line).collect();
    if more > 0 {
        lines.push(format!("    and {more} more"));
    }
    Ok(format!("to change it, edit\n{}", lines.join("\n")))
}
