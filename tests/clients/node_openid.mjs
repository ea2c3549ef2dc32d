// openid-client and oauth4webapi as relying parties: discovery, registration, login, tokens, userinfo, refresh, logout, for the response
// types that they know and each way to authenticate. `run` starts the gateway and passes its address.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";
import { check, parameters, User } from "./user.mjs";

const { OPENID_ISSUER: ISSUER, PASSWORD } = process.env;
const CALLBACK = "https://rp.example/cb";
const BYE = "https://rp.example/bye";
const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
const jwk = { ...(await crypto.subtle.exportKey("jwk", keys.publicKey)), kid: "rp", use: "sig", alg: "ES256" };

/** Methods, with the algorithm of the id_tokens that its client registers. */
const methods = { none: "RS256", client_secret_basic: "ES256", client_secret_post: "PS256", client_secret_jwt: "RS256", private_key_jwt: "EdDSA" };
let number = 0;

function metadata(type, method) {
    number += 1;
    return {
        client_name: `Node ${number}`,
        redirect_uris: [CALLBACK],
        post_logout_redirect_uris: [BYE],
        response_types: [type],
        grant_types: [...(type.includes("code") ? ["authorization_code", "refresh_token"] : []), ...(/token/.test(type) ? ["implicit"] : [])],
        token_endpoint_auth_method: method,
        id_token_signed_response_alg: methods[method],
        scope: "openid email",
        ...(method === "private_key_jwt" ? { jwks: { keys: [jwk] } } : {}),
    };
}

// openid-client

const openidAuth = {
    none: () => openid.None(),
    client_secret_basic: () => openid.ClientSecretBasic(),
    client_secret_post: () => openid.ClientSecretPost(),
    client_secret_jwt: () => openid.ClientSecretJwt(),
    private_key_jwt: () => openid.PrivateKeyJwt({ key: keys.privateKey, kid: "rp" }),
};

async function withOpenidClient(type, mode, method) {
    const user = new User("alice", PASSWORD);
    const config = await openid.dynamicClientRegistration(new URL(ISSUER), metadata(type, method), openidAuth[method]());
    openid.enableNonRepudiationChecks(config);
    if (type === "id_token") openid.useIdTokenResponseType(config);
    if (type === "code id_token") openid.useCodeIdTokenResponseType(config);
    const [state, nonce, verifier] = [openid.randomState(), openid.randomNonce(), openid.randomPKCECodeVerifier()];
    const asked = { redirect_uri: CALLBACK, scope: "openid email", state, nonce, response_mode: mode };
    if (type.includes("code")) {
        Object.assign(asked, { code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256" });
    }
    const answer = await user.go(openid.buildAuthorizationUrl(config, asked), CALLBACK);
    let hint;
    if (type === "id_token") {
        const claims = await openid.implicitAuthentication(config, answer.clone?.() ?? answer, nonce, { expectedState: state });
        assert.equal(claims.email, "alice@example.com");
        hint = (await parameters(answer)).get("id_token");
    } else {
        const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
        const first = await openid.authorizationCodeGrant(config, answer, checks);
        const { sub } = first.claims();
        assert.equal((await openid.fetchUserInfo(config, first.access_token, sub)).email, "alice@example.com");
        const tokens = await openid.refreshTokenGrant(config, first.refresh_token);
        assert.equal((await openid.fetchUserInfo(config, tokens.access_token, sub)).sub, sub);
        hint = tokens.id_token ?? first.id_token;
        await leave(tokens.access_token);
        await assert.rejects(openid.fetchUserInfo(config, tokens.access_token, sub), (error) => error.cause?.[0]?.scheme === "bearer" || error.status === 401);
        return;
    }
    await leave();

    async function leave() {
        const away = openid.buildEndSessionUrl(config, { id_token_hint: hint, post_logout_redirect_uri: BYE, state: "left" });
        assert.equal((await user.go(away, BYE)).searchParams.get("state"), "left");
        const silent = { ...asked, prompt: "none", nonce: openid.randomNonce() };
        const refused = await parameters(await user.go(openid.buildAuthorizationUrl(config, silent), CALLBACK));
        assert.equal(refused.get("error"), "login_required");
    }
}

for (const method of Object.keys(methods)) {
    await check(`openid-client: code by query, ${method}`, () => withOpenidClient("code", "query", method));
    await check(`openid-client: code id_token by form_post, ${method}`, () => withOpenidClient("code id_token", "form_post", method));
}
await check("openid-client: code by form_post", () => withOpenidClient("code", "form_post", "client_secret_basic"));
await check("openid-client: code id_token by fragment", () => withOpenidClient("code id_token", "fragment", "client_secret_basic"));
for (const mode of ["fragment", "form_post"]) await check(`openid-client: id_token by ${mode}`, () => withOpenidClient("id_token", mode, "none"));

await check("openid-client: a refused login and a cancelled one", async () => {
    const config = await openid.dynamicClientRegistration(new URL(ISSUER), metadata("code", "none"), openid.None());
    const asked = { redirect_uri: CALLBACK, scope: "openid", code_challenge: await openid.calculatePKCECodeChallenge("v".repeat(43)), code_challenge_method: "S256" };
    for (const button of ["cancel", "Deny"]) {
        const answer = await new User("alice", PASSWORD).go(openid.buildAuthorizationUrl(config, asked), CALLBACK, button);
        await assert.rejects(openid.authorizationCodeGrant(config, answer, { pkceCodeVerifier: "v".repeat(43) }), (error) => error.error === "access_denied");
    }
    await assert.rejects(new User("alice", "wrong").go(openid.buildAuthorizationUrl(config, asked), CALLBACK), /401/);
});

// oauth4webapi

async function withOauth4webapi(type, mode, method) {
    const user = new User("alice", PASSWORD);
    const server = await oauth.processDiscoveryResponse(new URL(ISSUER), await oauth.discoveryRequest(new URL(ISSUER)));
    const client = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(server, metadata(type, method)));
    const auth = {
        none: () => oauth.None(),
        client_secret_basic: () => oauth.ClientSecretBasic(client.client_secret),
        client_secret_post: () => oauth.ClientSecretPost(client.client_secret),
        client_secret_jwt: () => oauth.ClientSecretJwt(client.client_secret),
        private_key_jwt: () => oauth.PrivateKeyJwt({ key: keys.privateKey, kid: "rp" }),
    }[method]();
    const [state, nonce, verifier] = [oauth.generateRandomState(), oauth.generateRandomNonce(), oauth.generateRandomCodeVerifier()];
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({
        response_type: type,
        response_mode: mode,
        client_id: client.client_id,
        redirect_uri: CALLBACK,
        scope: "openid email",
        state,
        nonce,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
    });
    const answer = await user.go(url, CALLBACK);
    const given =
        type === "code"
            ? oauth.validateAuthResponse(server, client, await parameters(answer), state)
            : await oauth.validateCodeIdTokenResponse(server, client, answer, nonce, state);
    const exchanged = await oauth.authorizationCodeGrantRequest(server, client, auth, given, CALLBACK, verifier);
    const first = await oauth.processAuthorizationCodeResponse(server, client, exchanged, { expectedNonce: nonce, requireIdToken: true });
    await oauth.validateApplicationLevelSignature(server, exchanged);
    const { sub } = oauth.getValidatedIdTokenClaims(first);
    const userinfo = async (token) => oauth.processUserInfoResponse(server, client, sub, await oauth.userInfoRequest(server, client, token));
    assert.equal((await userinfo(first.access_token)).email, "alice@example.com");
    const refreshed = await oauth.refreshTokenGrantRequest(server, client, auth, first.refresh_token);
    const tokens = await oauth.processRefreshTokenResponse(server, client, refreshed);
    assert.equal((await userinfo(tokens.access_token)).sub, sub);
    const away = new URL(server.end_session_endpoint);
    away.search = new URLSearchParams({ id_token_hint: tokens.id_token ?? first.id_token, post_logout_redirect_uri: BYE });
    assert.equal((await user.go(away, BYE)).href, BYE);
    await assert.rejects(userinfo(tokens.access_token));
}

for (const method of Object.keys(methods)) {
    await check(`oauth4webapi: code by form_post, ${method}`, () => withOauth4webapi("code", "form_post", method));
    await check(`oauth4webapi: code id_token by fragment, ${method}`, () => withOauth4webapi("code id_token", "fragment", method));
}
console.log("# node openid done");
