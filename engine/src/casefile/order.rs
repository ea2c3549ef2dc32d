//! Checks the order of a scenario's sections.

use super::Failure;
use super::step::{Step, StepKind};

/// Checks which sections belong together, and which must come before the gateway starts.
pub(super) fn check_order(file: &str, steps: &[Step]) -> Result<(), Failure> {
    let mut acted = false;
    let mut asked: Option<bool> = None;
    let mut parallel = false;
    let mut checks = false;
    for step in steps {
        let wrong = |message: &str| Err(Failure::new(&step.file, step.line, message));
        match &step.kind {
            StepKind::File { .. } | StepKind::Config(_) | StepKind::Only(_) | StepKind::AllCharacters if acted => {
                return wrong("this belongs before the first step; while the gateway runs, use `== save PATH`");
            }
            StepKind::File { .. } | StepKind::Config(_) | StepKind::Only(_) | StepKind::AllCharacters => continue,
            StepKind::Parallel(_) => parallel = true,
            StepKind::Request(_) | StepKind::Raw { .. } => asked = Some(std::mem::take(&mut parallel)),
            StepKind::Response(_) => match asked {
                None => return wrong("there is no request before this response"),
                Some(true) => return wrong("parallel requests are answered by `== responses`"),
                Some(false) => checks = true,
            },
            StepKind::Responses(_) => match asked {
                Some(true) => checks = true,
                _ => return wrong("there is no `== parallel` request before this"),
            },
            StepKind::Rows { .. } | StepKind::Log { .. } | StepKind::Refused(_) | StepKind::Command { .. } => checks = true,
            _ => {}
        }
        acted = true;
    }
    if !checks {
        return Err(Failure::new(file, 1, "this case checks nothing: a `== response` is missing"));
    }
    Ok(())
}
