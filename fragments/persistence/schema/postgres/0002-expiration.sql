-- Every table that is cleaned up has an index to find expired rows (`oauth_token` has one already).

create index if not exists os_idx_expiration on oauth_session (expiration);

create index if not exists oi_idx_expiration on oauth_initiate (expiration);

create index if not exists ock_idx_expiration on oauth_client_key (expiration);

create index if not exists oaidt_idx_expiration on oauth_id_token (expiration);
