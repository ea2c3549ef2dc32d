//! From text to program, and the run of one.

pub mod answer;
pub mod assertion;
pub mod assertions;
pub mod build;
pub mod codes;
pub mod compile;
pub mod ctx;
pub mod exec;
pub mod expr;
pub mod function;
pub mod pattern;
pub mod reads;
pub mod request;
pub mod runnable;
pub mod site;
pub mod slots;
pub mod template;
pub mod unsupported;
pub mod vars;
