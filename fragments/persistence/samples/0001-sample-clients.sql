-- SAMPLE DATA: the toolkit's well-known test clients. Their secrets are published; never keep them on a gateway that others can reach.
insert into oauth_client (client_ident, name, type, description, organization, registered_by, created, custom) values
    ('123456800-otk', 'OpenID Connect Basic Client Profile', 'confidential', 'Sample client, remove in production', 'CA Technologies Inc.', 'admin', 0, '{}'),
    ('123456801-otk', 'OpenID Connect Implicit Client Profile', 'public', 'Sample client, remove in production', 'CA Technologies Inc.', 'admin', 0, '{}'),
    ('TestClient2.0', 'OAuth2Client', 'confidential', 'Sample client, remove in production', 'CA Technologies Inc.', 'admin', 0, '{}');

insert into oauth_client_key (client_key, secret, scope, callback, environment, expiration, status, created, created_by, client_ident, client_name, custom) values
    ('5eed868e-7ad0-4172-88f2-704bcf78b61e', '2054e4d7-77f2-46c9-bc4d-11a47255a6ec', 'openid email profile phone address', 'https://localhost:8443/oauth/v2/client/bcp?auth=done', 'ALL', 0, 'ENABLED', 0, 'admin', '123456800-otk', 'OpenID Connect Basic Client Profile', '{}'),
    ('5edc4a38-75ec-4617-8854-1a71ff1e0a2e', '5005a669-0295-4602-be7d-6a75342db6d8', 'openid email profile phone address', 'https://localhost:8443/oauth/v2/client/icp?auth=done', 'ALL', 0, 'ENABLED', 0, 'admin', '123456801-otk', 'OpenID Connect Implicit Client Profile', '{}'),
    ('54f0c455-4d80-421f-82ca-9194df24859d', 'a0f2742f-31c7-436f-9802-b7015b8fd8e6', 'oob', 'https://localhost:8443/oauth/v2/client/authcode?auth=done,https://localhost:8443/oauth/v2/client/implicit?auth=done', 'ALL', 0, 'ENABLED', 0, 'admin', 'TestClient2.0', 'OAuth2Client', '{}');
