-- The manager's lists show a page at a time, also of those who have many clients or tokens.

create index if not exists oc_idx_registered_by on oauth_client (registered_by, name, organization);

create index if not exists oat_idx_rowner_id on oauth_token (resource_owner, otk_token_id);

create index if not exists oat_idx_client_id on oauth_token (client_key, otk_token_id);
