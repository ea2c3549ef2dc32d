//! The gateway as its clients meet it. The suites are in `tests/`, the cases in `cases/` and `attacks/`, the load tool in `src/bin`;
//! what several of them need is here: a gateway process that is started, watched and killed, and a home to run it in.

pub mod load;
pub mod process;
