-- The key of a token ends the indexes that rows are read along. So the clean-up finds where a piece ends without sorting all tokens that expired
-- in the same second, and one index has the tokens of an owner with a client, and those of an owner page by page.

create index if not exists oat_idx_expired_id on oauth_token (rexpiration, expiration, otk_token_id);

drop index if exists oat_idx_expired;

create index if not exists oat_idx_rowner_client_id on oauth_token (resource_owner, client_ident, otk_token_id);

drop index if exists oat_idx_rowner_client_ident;

drop index if exists oat_idx_rowner_id;
