//! Comparisons that follow each other, as one instruction.

use super::compare::Compare;
use crate::data::value::Value;
use crate::policy::ctx::Ctx;
use crate::policy::expr::View;

/// Comparisons, all of which must hold for the run to go on.
///
/// Each is also an instruction of its own, and these come right after the row. Where one does not hold, the run goes on with its
/// instruction, which asks once more and says why it fails: so a row that holds, as most do, prepares nothing for a failure. What the
/// time decides may hold by then, and then it holds.
#[derive(Clone)]
pub struct Row(Box<[Tested]>);

#[derive(Clone)]
struct Tested {
    compare: Compare,
    /// Whether it compares the same as the one before, which is read already.
    again: bool,
}

impl Row {
    /// These, in this order.
    pub fn of<'a>(compares: impl IntoIterator<Item = &'a Compare>) -> Row {
        let mut before: Option<&Compare> = None;
        let tested = compares.into_iter().map(|compare| {
            let again = before.is_some_and(|before| before.left.reads_the_same(&compare.left));
            before = Some(compare);
            Tested { compare: compare.clone(), again }
        });
        Row(tested.collect())
    }

    /// The number of the first that does not hold.
    pub fn failing(&self, ctx: &Ctx) -> Option<usize> {
        let mut left = View::Value(&Value::Undefined);
        self.0.iter().position(|Tested { compare, again }| {
            if !again {
                left = compare.left.view(ctx);
            }
            !compare.passes(&left, ctx)
        })
    }
}
