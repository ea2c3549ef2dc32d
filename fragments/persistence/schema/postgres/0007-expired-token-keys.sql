-- The key of a token ends the index of expired ones, so that the clean-up finds where a piece ends without sorting all tokens that expired in
-- the same second.

create index if not exists oat_idx_expired_id on oauth_token (rexpiration, expiration, otk_token_id);

drop index if exists oat_idx_expired;
