//! Placeholder until the store module lands in a few minutes.
#![allow(missing_docs)]
use crate::fault::{Blame, Fault};
#[derive(Clone, Default)]
pub struct Connections;
#[derive(Clone)]
pub struct Connection;
pub struct Transaction;
pub struct BeginOptions<'a> {
    pub lock: Option<&'a str>,
    pub timeout: Option<std::time::Duration>,
}
impl Connections {
    pub fn get(&self, _: &str) -> Option<&Connection> {
        None
    }
}
impl Connection {
    pub async fn begin(&self, _: BeginOptions<'_>) -> Result<Transaction, Fault> {
        Err(Fault::new(Blame::Store, "no store"))
    }
}
impl Transaction {
    pub async fn commit(self) -> Result<(), Fault> {
        Ok(())
    }
    pub async fn rollback(self) -> Result<(), Fault> {
        Ok(())
    }
}
