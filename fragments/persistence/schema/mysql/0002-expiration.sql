-- Every table that is cleaned up has an index to find expired rows (`oauth_token` has one already). MySQL has no
-- `create index if not exists`; an existing index under another name will do too.

prepare portcullis_look from
    'select if(count(*) > 0, ''do 0'', concat(''create index '', ?, '' on '', ?, '' (expiration)'')) into @portcullis_change
     from information_schema.statistics
     where table_schema = database() and table_name = ? and column_name = ''expiration'' and seq_in_index = 1';

set @portcullis_table = 'oauth_session', @portcullis_index = 'os_idx_expiration';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_table;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

set @portcullis_table = 'oauth_initiate', @portcullis_index = 'oi_idx_expiration';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_table;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

set @portcullis_table = 'oauth_client_key', @portcullis_index = 'ock_idx_expiration';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_table;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

set @portcullis_table = 'oauth_id_token', @portcullis_index = 'oaidt_idx_expiration';
execute portcullis_look using @portcullis_index, @portcullis_table, @portcullis_table;
prepare portcullis_change from @portcullis_change;
execute portcullis_change;

deallocate prepare portcullis_look;
deallocate prepare portcullis_change;
