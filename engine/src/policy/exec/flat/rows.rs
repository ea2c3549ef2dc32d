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
    let begins = |at: &usize| follows(*at) && !at.checked_sub(1).is_some_and(follows);
    let firsts: Vec<usize> = (0..code.len()).filter(begins).collect();
    let row = |first: &usize| {
        let count = (*first..).take_while(|at| follows(*at)).count() + 1;
        let tests = code.get(*first..first + count)?;
        let compares = tests.iter().filter_map(|test| if let Op::Test(compare) = &test.op { Some(compare) } else { None });
        let (begin, end) = (tests.first()?, tests.last()?);
        Some(Instr { op: Op::Row(Row::of(compares)), ok: end.ok, no: NOWHERE, origin: begin.origin, base: begin.base })
    };
    let mut rows = firsts.iter().filter_map(row).collect::<Vec<_>>().into_iter();
    // Each instruction moves by the rows before it. What leads to the first of some comparisons leads to their row.
    let place = |at: u32| match at {
        NOWHERE => NOWHERE,
        at => at + firsts.partition_point(|first| *first < at as usize) as u32,
    };
    let mut joined = Vec::with_capacity(code.len() + firsts.len());
    for (at, instr) in code.into_iter().enumerate() {
        if firsts.binary_search(&at).is_ok() {
            joined.extend(rows.next());
        }
        joined.push(instr);
    }
    for instr in &mut joined {
        (instr.ok, instr.no) = (place(instr.ok), place(instr.no));
    }
    Flat { code: joined, entry: place(entry), fault_tail: fault_tail.map(place), slots }
}
