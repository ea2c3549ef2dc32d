//! Assertions that record what happens.

super::catalogue! { audit_detail, log_field }
