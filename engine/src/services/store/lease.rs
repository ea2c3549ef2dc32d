//! A pooled connection that goes back to its pool only when it is known to be in order. One that is dropped in the middle of something
//! (a request that was broken off, a transaction that nobody ended) is closed instead, which makes the server undo what was open.

use std::ops::{Deref, DerefMut};

use sqlx::Database;
use sqlx::pool::PoolConnection;

/// A connection on loan.
pub(super) struct Lease<DB: Database> {
    connection: PoolConnection<DB>,
    in_order: bool,
}

impl<DB: Database> Lease<DB> {
    pub(super) fn new(connection: PoolConnection<DB>) -> Self {
        Lease { connection, in_order: false }
    }

    /// Gives it back in order.
    pub(super) fn give_back(mut self) {
        self.in_order = true;
    }
}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if !self.in_order {
            self.connection.close_on_drop();
        }
    }
}
