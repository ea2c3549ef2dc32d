//! A connection that leads nowhere: for a gateway that has no database, because another one stores everything for it. Policies may
//! name the connection, but nothing that uses it can succeed.

use std::sync::Arc;

use async_trait::async_trait;
use smol_str::SmolStr;

use super::backend::{Backend, Session};
use super::{BeginOptions, Kind, QueryOptions, Rows, Statement, StoreError};
use crate::data::value::Value;

/// Its address.
pub(super) const WORD: &str = "none";

/// The backend, with the connection's name.
pub(super) struct Nowhere(pub(super) SmolStr);

impl Nowhere {
    fn refuse<T>(&self) -> Result<T, StoreError> {
        Err(StoreError::new(Kind::Unavailable, &self.0, "this gateway has no database: the connection is `none` in gateway.yaml"))
    }
}

#[async_trait]
impl Backend for Nowhere {
    async fn run(&self, _: &Statement, _: &[Value], _: QueryOptions) -> Result<Rows, StoreError> {
        self.refuse()
    }

    async fn begin(self: Arc<Self>, _: BeginOptions<'_>) -> Result<Box<dyn Session>, StoreError> {
        self.refuse()
    }

    async fn migrate(&self, _: Vec<(String, String)>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
