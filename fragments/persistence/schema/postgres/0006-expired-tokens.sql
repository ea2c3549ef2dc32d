-- The clean-up finds expired tokens by one index: with a refresh token by the end of that, and otherwise, where that is 0, by their own.
-- Indexes that no statement needs go: each one costs every new token.

create index if not exists oat_idx_expired on oauth_token (rexpiration, expiration);

drop index if exists oat_idx_rexpiration;

drop index if exists oat_idx_expiration;

drop index if exists oat_idx_rowner_client;

-- `oat_idx_rowner_id` and `oat_idx_client_id` begin with the same columns.
drop index if exists oat_idx_rowner;

drop index if exists oat_idx_client;
