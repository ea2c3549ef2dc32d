-- The OAuth Toolkit's tables, as its 4.2 scripts have them, with the indexes that a statement needs: each one costs every new token.
-- `if not exists`: an existing OTK database is taken as it is.

create table if not exists oauth_client (
    client_ident varchar(128) not null primary key,
    name varchar(128) not null,
    type varchar(128) not null default 'oob',
    description varchar(256),
    organization varchar(128) not null,
    registered_by varchar(128) not null,
    created bigint not null default 0,
    custom text,
    constraint uk_oc_name_org unique (name, organization)
);

create index if not exists oc_idx_clientname on oauth_client (name);

create table if not exists oauth_client_key (
    client_key varchar(128) not null primary key,
    secret varchar(128) not null,
    scope varchar(512) not null default 'oob',
    callback varchar(2048) not null default 'oob',
    environment varchar(128) not null default 'ALL',
    expiration bigint not null default 0,
    status varchar(128) not null,
    created bigint not null default 0,
    created_by varchar(128) not null,
    client_ident varchar(128) not null,
    client_name varchar(128) not null,
    custom text,
    serviceIds varchar(256),
    accountPlanMappingIds varchar(256),
    constraint ock_fk_clientIdent foreign key (client_ident) references oauth_client (client_ident) on delete cascade
);

create index if not exists ock_idx_clientident on oauth_client_key (client_ident);

create table if not exists oauth_token (
    otk_token_id varchar(128) not null primary key,
    token varchar(128) unique,
    secret varchar(128),
    expiration bigint not null,
    scope varchar(512),
    resource_owner varchar(128) not null,
    created bigint default 0,
    rtoken varchar(128) unique,
    rexpiration bigint default 0,
    status varchar(128) not null,
    client_key varchar(128) not null,
    client_name varchar(128) not null,
    client_ident varchar(128) not null,
    custom text
);

create index if not exists oat_idx_rowner_client_ident on oauth_token (resource_owner, client_ident);

create table if not exists oauth_initiate (
    token varchar(128) not null primary key,
    secret varchar(128),
    expiration bigint not null default 0,
    scope varchar(512),
    resource_owner varchar(128),
    created bigint default 0,
    verifier varchar(128),
    callback varchar(256),
    client_key varchar(128) not null,
    client_name varchar(128) not null,
    custom text
);

create table if not exists oauth_session (
    session_key varchar(128) not null,
    session_group varchar(128) not null,
    expiration bigint not null,
    value text not null,
    primary key (session_key, session_group)
);

create table if not exists oauth_id_token (
    resource_owner varchar(128) not null,
    azp varchar(128) not null,
    sub varchar(128),
    jwt_id varchar(512),
    jwt text not null,
    salt varchar(128),
    shared_secret varchar(128),
    shared_secret_type varchar(128),
    iss varchar(128) not null,
    expiration bigint not null,
    constraint pk_mag_id_token primary key (resource_owner, azp)
);

create index if not exists oaidt_idx_azp on oauth_id_token (azp);

create table if not exists otk_version (
    current_version char(10) not null
);

insert into otk_version (current_version) select 'otk4.1.00' where not exists (select 1 from otk_version);
