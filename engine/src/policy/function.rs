//! The pure functions of the language: the right side of `set` and of comparisons. They cannot fail and do no I/O.

use std::ops::Index;

use portcullis_dsl::spec::{FunctionSpec, Gives};

use crate::data::value::Value;
use crate::policy::ctx::Ctx;

mod addresses;
mod cookies;
mod gateway;
mod json;
mod lists;
mod texts;
mod times;
mod uris;

/// A function with its description.
pub struct Function {
    /// Its description for authors.
    pub spec: FunctionSpec,
    code: Code,
    /// What is wrong with the arguments that are constants; the others are undefined.
    check: Option<Check>,
}

/// Refuses arguments while policies load.
type Check = fn(&Args<'_>) -> Result<(), String>;

/// An implementation. The compiler has checked the number of arguments.
#[derive(Clone, Copy)]
enum Code {
    /// The same arguments always give the same value.
    Pure(fn(&Args<'_>) -> Value),
    /// The value also depends on the request or the time.
    OfRun(fn(&Args<'_>, &Ctx) -> Value),
}

/// The values that a function is called with.
pub struct Args<'a>(pub &'a [Value]);

/// The value of an argument that the author left out.
static LEFT_OUT: Value = Value::Undefined;

impl Args<'_> {
    /// All values.
    pub fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.0.iter()
    }

    /// A value that the author may leave out.
    pub fn given(&self, index: usize) -> Option<&Value> {
        self.0.get(index)
    }

    /// The values after so many.
    pub fn after(&self, count: usize) -> &[Value] {
        self.0.get(count..).unwrap_or_default()
    }
}

/// An argument that was left out is undefined.
impl Index<usize> for Args<'_> {
    type Output = Value;

    fn index(&self, index: usize) -> &Value {
        self.0.get(index).unwrap_or(&LEFT_OUT)
    }
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
        gateway::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// The function of this name.
pub fn get(name: &str) -> Option<&'static Function> {
    all().find(|function| function.spec.name == name)
}

type Names = &'static [&'static str];

/// A function of its arguments alone.
const fn function(
    name: &'static str,
    params: Names,
    required: usize,
    doc: &'static str,
    call: fn(&Args<'_>) -> Value,
) -> Function {
    made(name, params, required, doc, Code::Pure(call))
}

/// A function that also reads the request or the clock.
const fn function_of_run(
    name: &'static str,
    params: Names,
    required: usize,
    doc: &'static str,
    call: fn(&Args<'_>, &Ctx) -> Value,
) -> Function {
    made(name, params, required, doc, Code::OfRun(call))
}

const fn made(name: &'static str, params: Names, required: usize, doc: &'static str, code: Code) -> Function {
    Function { spec: FunctionSpec { name, params, required, doc, gives: Gives::Other }, code, check: None }
}

impl Function {
    /// The value for these arguments.
    pub fn call(&self, args: &Args<'_>, ctx: &Ctx) -> Value {
        match self.code {
            Code::Pure(call) => call(args),
            Code::OfRun(call) => call(args, ctx),
        }
    }

    /// Whether the same arguments always give the same value.
    pub fn is_pure(&self) -> bool {
        matches!(self.code, Code::Pure(_))
    }

    /// The function, marked as giving JSON or one of its arguments.
    const fn giving(self, gives: Gives) -> Function {
        let Function { spec: FunctionSpec { name, params, required, doc, .. }, code, check } = self;
        Function { spec: FunctionSpec { name, params, required, doc, gives }, code, check }
    }

    /// The function, which refuses some constants while policies load.
    const fn checked(self, check: Check) -> Function {
        Function { check: Some(check), ..self }
    }

    /// What is wrong with constant arguments; those that are no constants are undefined.
    pub fn refuses(&self, args: &Args<'_>) -> Option<String> {
        self.check.and_then(|check| check(args).err())
    }
}
