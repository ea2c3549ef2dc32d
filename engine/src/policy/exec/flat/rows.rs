//! Joins comparisons that follow each other.

use crate::policy::exec::program::{Flat, Instr, NOWHERE, Op};
use crate::policy::exec::row::Row;

/// The same code, with a [`Row`] before comparisons that follow each other. Whoever went to the first of them goes to the row.
pub fn join(flat: Flat) -> Flat {
    let Flat { code, entry, fault_tail, slots } = flat;
    let follows = |at: usize| match code.get(at..at + 2) {
        Some([one, other]) => {
            let tests = matches!((&one.op, &other.op), (Op::Test(_), Op::Test(_)));
            tests && one.ok as usize == at + 1 && one.base == other.base
        }
        _ => false,
    };
    // Where each instruction will be: the row, for the first of some comparisons.
    let mut places = Vec::with_capacity(code.len());
    let mut rows = Vec::new();
    for at in 0..code.len() {
        places.push((at + rows.len()) as u32);
        if follows(at) && !at.checked_sub(1).is_some_and(follows) {
            rows.push(at);
        }
    }
    if rows.is_empty() {
        return Flat { code, entry, fault_tail, slots };
    }
    let place = |at: u32| places.get(at as usize).copied().unwrap_or(NOWHERE);
    let mut joined: Vec<Instr> = Vec::with_capacity(code.len() + rows.len());
    let mut rows = rows.into_iter().peekable();
    for (at, instr) in code.iter().enumerate() {
        if rows.next_if_eq(&at).is_some() {
            let count = (at..).take_while(|at| follows(*at)).count() + 1;
            let tests = code.iter().skip(at).take(count);
            let compares = tests.filter_map(|test| if let Op::Test(compare) = &test.op { Some(compare) } else { None });
            let after = code.get(at + count - 1).map_or(NOWHERE, |last| place(last.ok));
            joined.push(Instr { op: Op::Row(Row::of(compares)), ok: after, no: NOWHERE, origin: instr.origin, base: instr.base });
        }
        let Instr { op, ok, no, origin, base } = instr;
        joined.push(Instr { op: op.clone(), ok: place(*ok), no: place(*no), origin: *origin, base: *base });
    }
    Flat { code: joined, entry: place(entry), fault_tail: fault_tail.map(place), slots }
}
