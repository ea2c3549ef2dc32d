-- What has expired is found by an index, in every table that is cleaned up (`oauth_token` has one already).
-- MySQL has no `create index if not exists`; an index that somebody else made under another name will do too.

set @portcullis_index = if(
    exists (
        select 1 from information_schema.statistics
        where table_schema = database() and table_name = 'oauth_session' and column_name = 'expiration' and seq_in_index = 1
    ),
    'do 0',
    'create index os_idx_expiration on oauth_session (expiration)'
);
prepare portcullis_index from @portcullis_index;
execute portcullis_index;
deallocate prepare portcullis_index;

set @portcullis_index = if(
    exists (
        select 1 from information_schema.statistics
        where table_schema = database() and table_name = 'oauth_initiate' and column_name = 'expiration' and seq_in_index = 1
    ),
    'do 0',
    'create index oi_idx_expiration on oauth_initiate (expiration)'
);
prepare portcullis_index from @portcullis_index;
execute portcullis_index;
deallocate prepare portcullis_index;

set @portcullis_index = if(
    exists (
        select 1 from information_schema.statistics
        where table_schema = database() and table_name = 'oauth_client_key' and column_name = 'expiration' and seq_in_index = 1
    ),
    'do 0',
    'create index ock_idx_expiration on oauth_client_key (expiration)'
);
prepare portcullis_index from @portcullis_index;
execute portcullis_index;
deallocate prepare portcullis_index;

set @portcullis_index = if(
    exists (
        select 1 from information_schema.statistics
        where table_schema = database() and table_name = 'oauth_id_token' and column_name = 'expiration' and seq_in_index = 1
    ),
    'do 0',
    'create index oaidt_idx_expiration on oauth_id_token (expiration)'
);
prepare portcullis_index from @portcullis_index;
execute portcullis_index;
deallocate prepare portcullis_index;
