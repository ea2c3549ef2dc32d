//! A pooled connection that only goes back to its pool if it is known to be clean. One that is dropped in the middle of something
//! (an aborted request, an unfinished transaction) is closed instead, so that the server rolls back what was open.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Database;
use sqlx::pool::PoolConnection;

/// A borrowed connection.
pub(super) struct Lease<DB: Database> {
    connection: PoolConnection<DB>,
    in_order: bool,
    /// How many are lent.
    lent: Arc<AtomicUsize>,
}

impl<DB: Database> Lease<DB> {
    pub(super) fn new(connection: PoolConnection<DB>, lent: &Arc<AtomicUsize>) -> Self {
        lent.fetch_add(1, Ordering::Relaxed);
        Lease { connection, in_order: false, lent: Arc::clone(lent) }
    }

    /// Returns it, known to be clean.
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
        self.lent.fetch_sub(1, Ordering::Relaxed);
        if !self.in_order {
            self.connection.close_on_drop();
        }
    }
}
