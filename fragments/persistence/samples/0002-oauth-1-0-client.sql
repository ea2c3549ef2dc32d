-- SAMPLE DATA: the toolkit's test client for OAuth 1.0. Its secret is published; never keep it on a gateway that others can reach.
insert into oauth_client (client_ident, name, type, description, organization, registered_by, created, custom) values
    ('TestClient1.0', 'OAuth1Client', 'oob', 'Sample client, remove in production', 'CA Technologies Inc.', 'admin', 0, '{}');

insert into oauth_client_key (client_key, secret, scope, callback, environment, expiration, status, created, created_by, client_ident, client_name, custom) values
    ('acf89db2-994e-427b-ac2c-88e6101f9433', '74d5e0db-cd8b-4d8e-a989-95a0746c3343', 'scope_test', 'oob', 'ALL', 0, 'ENABLED', 0, 'admin', 'TestClient1.0', 'OAuth1Client', '{}');
