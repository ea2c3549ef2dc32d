//! The pure functions of the language: the right side of `set` and of comparisons. They cannot fail and do no I/O.

use portcullis_dsl::spec::{FunctionSpec, Gives};

use crate::data::value::Value;
use crate::policy::ctx::Ctx;

mod addresses;
mod cookies;
mod json;
mod lists;
mod texts;
mod times;
mod uris;

/// A function with its description.
pub struct Function {
    /// What authors know of it.
    pub spec: FunctionSpec,
    /// Its work. The compiler has checked the number of arguments.
    pub call: fn(&[Value], &Ctx) -> Value,
}

/// All functions.
pub fn all() -> impl Iterator<Item = &'static Function> {
    [
        lists::FUNCTIONS,
        texts::FUNCTIONS,
        times::FUNCTIONS,
        uris::FUNCTIONS,
        json::FUNCTIONS,
        addresses::FUNCTIONS,
        cookies::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// The function of this name.
pub fn get(name: &str) -> Option<&'static Function> {
    all().find(|function| function.spec.name == name)
}

/// A function in short.
const fn function(
    name: &'static str,
    params: &'static [&'static str],
    required: usize,
    doc: &'static str,
    call: fn(&[Value], &Ctx) -> Value,
) -> Function {
    Function { spec: FunctionSpec { name, params, required, doc, gives: Gives::Other }, call }
}

impl Function {
    /// The function, said to give JSON, or what it was given.
    const fn giving(self, gives: Gives) -> Function {
        let Function { spec: FunctionSpec { name, params, required, doc, .. }, call } = self;
        Function { spec: FunctionSpec { name, params, required, doc, gives }, call }
    }
}
