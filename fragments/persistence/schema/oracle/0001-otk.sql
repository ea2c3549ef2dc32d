-- The OAuth Toolkit's tables for Oracle 11g and 12c, for administrators who prepare such a database. This gateway has no driver for Oracle:
-- `dbsystem = "oracle"` does not load, and nothing runs this text.
--
-- What statements need there: pages by ROWNUM in a sub-query instead of `limit` and `offset`; `dbms_lob.substr(custom, 4000, 1)` where the
-- text of a clob is compared or returned as text; `''` is NULL.

create table oauth_client (
    client_ident varchar2(128) not null primary key,
    name varchar2(128) not null,
    type varchar2(128) default 'oob' not null,
    description varchar2(256),
    organization varchar2(128) not null,
    registered_by varchar2(128) not null,
    created number(19) default 0 not null,
    custom clob,
    constraint uk_oc_name_org unique (name, organization)
)
/

create table oauth_client_key (
    client_key varchar2(128) not null primary key,
    secret varchar2(128) not null,
    scope varchar2(512) default 'oob' not null,
    callback varchar2(2048) default 'oob' not null,
    environment varchar2(128) default 'ALL' not null,
    expiration number(19) default 0 not null,
    status varchar2(128) not null,
    created number(19) default 0 not null,
    created_by varchar2(128) not null,
    client_ident varchar2(128) not null,
    client_name varchar2(128) not null,
    custom clob,
    serviceIds varchar2(256),
    accountPlanMappingIds varchar2(256),
    constraint ock_fk_clientIdent foreign key (client_ident) references oauth_client (client_ident) on delete cascade
)
/

create table oauth_token (
    otk_token_id varchar2(128) not null primary key,
    token varchar2(128) unique,
    secret varchar2(128),
    expiration number(19) not null,
    scope varchar2(512),
    resource_owner varchar2(128) not null,
    created number(19) default 0,
    rtoken varchar2(128) unique,
    rexpiration number(19) default 0,
    status varchar2(128) not null,
    client_key varchar2(128) not null,
    client_name varchar2(128) not null,
    client_ident varchar2(128) not null,
    custom clob
)
/

create table oauth_initiate (
    token varchar2(128) not null primary key,
    secret varchar2(128),
    expiration number(19) default 0 not null,
    scope varchar2(512),
    resource_owner varchar2(128),
    created number(19) default 0,
    verifier varchar2(128),
    callback varchar2(256),
    client_key varchar2(128) not null,
    client_name varchar2(128) not null,
    custom clob
)
/

create table oauth_session (
    session_key varchar2(128) not null,
    session_group varchar2(128) not null,
    expiration number(19) not null,
    value clob not null,
    primary key (session_key, session_group)
)
/

create table oauth_id_token (
    resource_owner varchar2(128) not null,
    azp varchar2(128) not null,
    sub varchar2(128),
    jwt_id varchar2(512),
    jwt clob not null,
    salt varchar2(128),
    shared_secret varchar2(128),
    shared_secret_type varchar2(128),
    iss varchar2(128) not null,
    expiration number(19) not null,
    constraint pk_mag_id_token primary key (resource_owner, azp)
)
/

create table otk_version (
    current_version char(10) not null
)
/

insert into otk_version (current_version) values ('otk4.1.00')
/

create table portcullis_task (
    task varchar2(128) not null primary key,
    holder varchar2(128) not null,
    held_until number(19) default 0 not null,
    due number(19) default 0 not null,
    last_run number(19) default 0 not null,
    result varchar2(16) default '' not null
)
/

create index oc_idx_clientname on oauth_client (name)
/

create index ock_idx_clientident on oauth_client_key (client_ident)
/

create index oat_idx_expiration on oauth_token (expiration)
/

create index oat_idx_rowner_client on oauth_token (resource_owner, client_key)
/

create index oat_idx_rowner on oauth_token (resource_owner)
/

create index oat_idx_client on oauth_token (client_key)
/

create index oat_idx_rowner_client_ident on oauth_token (resource_owner, client_ident)
/

create index oaidt_idx_azp on oauth_id_token (azp)
/

create index os_idx_expiration on oauth_session (expiration)
/

create index oi_idx_expiration on oauth_initiate (expiration)
/

create index ock_idx_expiration on oauth_client_key (expiration)
/

create index oaidt_idx_expiration on oauth_id_token (expiration)
/
