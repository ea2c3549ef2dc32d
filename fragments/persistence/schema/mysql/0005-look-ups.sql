-- Each look-up and each clean-up finds its rows by an index, however many there are. MySQL has no `create index if not exists`; an
-- existing index under another name will do too.

prepare portcullis_look from
    'select if(count(*) > 0, ''do 0'', concat(''create index '', ?, '' on '', ?, '' ('', ?, '')'')) into @portcullis_change
     from information_schema.statistics
     where table_schema = database() and table_name = ? and column_name = ? and seq_in_index = 1';

set @portcullis_table = 'oauth_client', @portcullis_column = 'organization', @portcullis_index = 'oc_idx_organization';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_column, @portcullis_table, @portcullis_column;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

set @portcullis_table = 'oauth_client_key', @portcullis_column = 'created_by', @portcullis_index = 'ock_idx_created_by';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_column, @portcullis_table, @portcullis_column;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

set @portcullis_table = 'oauth_initiate', @portcullis_column = 'client_key', @portcullis_index = 'oi_idx_client';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_column, @portcullis_table, @portcullis_column;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

set @portcullis_table = 'oauth_initiate', @portcullis_column = 'resource_owner', @portcullis_index = 'oi_idx_rowner';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_column, @portcullis_table, @portcullis_column;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

deallocate prepare portcullis_look;
deallocate prepare portcullis_change;
