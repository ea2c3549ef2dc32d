-- Each look-up and each clean-up finds its rows by an index, however many there are.

create index if not exists oc_idx_organization on oauth_client (organization);

create index if not exists ock_idx_created_by on oauth_client_key (created_by);

create index if not exists oi_idx_client on oauth_initiate (client_key);

create index if not exists oi_idx_rowner on oauth_initiate (resource_owner);
