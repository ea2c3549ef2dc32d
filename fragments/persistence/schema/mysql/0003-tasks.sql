-- Which gateway runs a task, until when, and how the last run ended: `portcullis task list`. Times are milliseconds since 1970.

create table if not exists portcullis_task (
    task varchar(128) not null primary key,
    holder varchar(128) not null,
    held_until bigint not null default 0,
    due bigint not null default 0,
    last_run bigint not null default 0,
    result varchar(16) not null default ''
) engine = InnoDB default charset = utf8mb4 collate = utf8mb4_bin;
