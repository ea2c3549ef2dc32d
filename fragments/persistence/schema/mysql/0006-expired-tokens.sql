-- The clean-up finds expired tokens by one index: with a refresh token by the end of that, and otherwise, where that is 0, by their own.
-- MySQL has no `create index if not exists`. Other indexes stay: the table may be a toolkit's.

set @portcullis_change = (
    select if(count(*) > 0, 'do 0', 'create index oat_idx_expired on oauth_token (rexpiration, expiration)')
    from information_schema.statistics first_column
    join information_schema.statistics next_column
        on next_column.table_schema = first_column.table_schema and next_column.table_name = first_column.table_name
        and next_column.index_name = first_column.index_name and next_column.column_name = 'expiration' and next_column.seq_in_index = 2
    where first_column.table_schema = database() and first_column.table_name = 'oauth_token'
        and first_column.column_name = 'rexpiration' and first_column.seq_in_index = 1
);

prepare portcullis_change from @portcullis_change;
execute portcullis_change;
deallocate prepare portcullis_change;
