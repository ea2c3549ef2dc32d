// oauth4webapi and openid-client against a gateway; `run` starts it and passes its address.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";
import { check, User } from "./user.mjs";

const { ORIGIN, ISSUER, CALLBACK, CLIENT_ID, CLIENT_SECRET, PUBLIC_ID, PASSWORD } = process.env;
const api = new URL(`${ORIGIN}/oauth/v2/protectedapi/foo`);
// What its metadata document says, at the port that this gateway happened to get.
const server = {
    issuer: ISSUER,
    authorization_endpoint: `${ORIGIN}/auth/oauth/v2/authorize`,
    token_endpoint: `${ORIGIN}/auth/oauth/v2/token`,
    revocation_endpoint: `${ORIGIN}/auth/oauth/v2/token/revoke`,
    authorization_response_iss_parameter_supported: true,
    code_challenge_methods_supported: ["S256"],
};
const confidential = { client: { client_id: CLIENT_ID }, auth: oauth.ClientSecretBasic(CLIENT_SECRET) };
const open = { client: { client_id: PUBLIC_ID }, auth: oauth.None() };

/** What the user does: sign in, then allow. Returns where the browser is sent. */
const browse = (url) => new User("alice", PASSWORD).go(url, CALLBACK);

async function reads(token, status = 200) {
    const answer = await fetch(api, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, status);
    return answer.json();
}

/** Code flow up to the answer at the redirect URI. */
async function authorize({ client }) {
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({
        response_type: "code",
        client_id: client.client_id,
        redirect_uri: CALLBACK,
        scope: "read write",
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
    });
    return { verifier, state, back: await browse(url) };
}

async function redeem({ client, auth }, { verifier, state, back }) {
    const parameters = oauth.validateAuthResponse(server, client, back, state);
    const answer = await oauth.authorizationCodeGrantRequest(server, client, auth, parameters, CALLBACK, verifier);
    return oauth.processAuthorizationCodeResponse(server, client, answer);
}

const code = async (who) => redeem(who, await authorize(who));

for (const [how, auth] of [["basic", oauth.ClientSecretBasic(CLIENT_SECRET)], ["post", oauth.ClientSecretPost(CLIENT_SECRET)]]) {
    await check(`oauth4webapi: client credentials, client_secret_${how}`, async () => {
        const { client } = confidential;
        const answer = await oauth.clientCredentialsGrantRequest(server, client, auth, { scope: "read" });
        const token = await oauth.processClientCredentialsResponse(server, client, answer);
        assert.equal(token.scope, "read");
        assert.equal((await oauth.protectedResourceRequest(token.access_token, "GET", api)).status, 200);
    });
}
await check("oauth4webapi: wrong secret refused", async () => {
    const { client } = confidential;
    const answer = await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretPost("wrong"), {});
    // If the answer has a challenge, the library reports that instead of the body.
    await assert.rejects(oauth.processClientCredentialsResponse(server, client, answer), (error) => error.status === 401);
});
for (const [kind, who] of [["confidential", confidential], ["public", open]]) {
    await check(`oauth4webapi: ${kind} client, code with PKCE`, async () => {
        const token = await code(who);
        assert.equal((await reads(token.access_token)).resource_owner, "alice");
    });
    await check(`oauth4webapi: ${kind} client, wrong PKCE verifier refused`, async () => {
        const answer = await authorize(who);
        answer.verifier = oauth.generateRandomCodeVerifier();
        await assert.rejects(redeem(who, answer), (error) => error.error === "invalid_grant");
    });
    await check(`oauth4webapi: ${kind} client, refresh`, async () => {
        const { client, auth } = who;
        const old = await code(who);
        const answer = await oauth.refreshTokenGrantRequest(server, client, auth, old.refresh_token);
        const token = await oauth.processRefreshTokenResponse(server, client, answer);
        assert.notEqual(token.access_token, old.access_token);
        await reads(token.access_token);
        await reads(old.access_token, 401);
    });
    await check(`oauth4webapi: ${kind} client, revoke`, async () => {
        const { client, auth } = who;
        const token = await code(who);
        await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, token.access_token));
        await reads(token.access_token, 401);
    });
}
await check("oauth4webapi: iss of another server refused", async () => {
    const { state, back } = await authorize(confidential);
    back.searchParams.set("iss", "https://other.example");
    assert.throws(() => oauth.validateAuthResponse(server, confidential.client, back, state), /iss/);
});
await check("oauth4webapi: bearer challenge of the API is understood", async () => {
    await assert.rejects(oauth.protectedResourceRequest("unknown", "GET", api), (error) => {
        return error instanceof oauth.WWWAuthenticateChallengeError && error.cause[0].scheme === "bearer";
    });
});

const config = new openid.Configuration(server, CLIENT_ID, undefined, openid.ClientSecretBasic(CLIENT_SECRET));
await check("openid-client: client credentials", async () => {
    const token = await openid.clientCredentialsGrant(config, { scope: "read" });
    assert.equal((await openid.fetchProtectedResource(config, token.access_token, api, "GET")).status, 200);
});
await check("openid-client: code with PKCE, refresh, revoke", async () => {
    const pkceCodeVerifier = openid.randomPKCECodeVerifier();
    const expectedState = openid.randomState();
    const back = await browse(
        openid.buildAuthorizationUrl(config, {
            redirect_uri: CALLBACK,
            scope: "read write",
            state: expectedState,
            code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
            code_challenge_method: "S256",
        }),
    );
    const first = await openid.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState });
    const token = await openid.refreshTokenGrant(config, first.refresh_token);
    await reads(token.access_token);
    await openid.tokenRevocation(config, token.refresh_token);
    await reads(token.access_token, 401);
});
console.log("# node done");
