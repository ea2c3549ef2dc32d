-- The manager's lists show a page at a time, also of those who have many clients. The indexes on tokens end with the primary key already.
-- MySQL has no `create index if not exists`.

set @portcullis_change = (
    select if(count(*) > 0, 'do 0', 'create index oc_idx_registered_by on oauth_client (registered_by, name, organization)')
    from information_schema.statistics
    where table_schema = database() and table_name = 'oauth_client' and column_name = 'registered_by' and seq_in_index = 1
);

prepare portcullis_change from @portcullis_change;
execute portcullis_change;
deallocate prepare portcullis_change;
