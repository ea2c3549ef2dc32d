"""Authlib as a relying party: discovery, registration, login, tokens, userinfo, refresh and logout for every response type, response mode
and way to authenticate. `run` starts the gateway and says where it is."""
import os
from itertools import cycle

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken, HybridIDToken, ImplicitIDToken
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import JWSRegistry

from user import User, check, equal, parameters

ISSUER, PASSWORD = os.environ["OPENID_ISSUER"], os.environ["PASSWORD"]
CALLBACK, BYE = "https://rp.example/cb", "https://rp.example/bye"
SERVER = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=10).json()
KEYS = KeySet.import_key_set(requests.get(SERVER["jwks_uri"], timeout=10).json())
OWN = RSAKey.generate_key(2048, {"kid": "rp", "use": "sig", "alg": "RS256"})
NAMES = (f"Python {number}" for number in range(1000))
VERIFIER = "verifier-" * 6
# How the id_tokens of a client are signed, by its way to authenticate.
METHODS = {"none": "RS256", "client_secret_basic": "ES256", "client_secret_post": "PS384", "client_secret_jwt": "RS512", "private_key_jwt": "RS256"}


def register(response_type, method):
    code, front = "code" in response_type, "token" in response_type
    body = {
        "client_name": next(NAMES), "redirect_uris": [CALLBACK], "post_logout_redirect_uris": [BYE], "response_types": [response_type],
        "grant_types": ["authorization_code", "refresh_token"] * code + ["implicit"] * front, "scope": "openid email",
        "token_endpoint_auth_method": method, "id_token_signed_response_alg": METHODS[method],
    }
    if method == "private_key_jwt":
        body["jwks"] = {"keys": [OWN.as_dict(private=False)]}
    answer = requests.post(SERVER["registration_endpoint"], json=body, timeout=10)
    equal(answer.status_code, 201)
    client = answer.json()
    for name in ("response_types", "token_endpoint_auth_method", "id_token_signed_response_alg"):
        equal(client[name], body[name])
    return client


def session_of(client, method):
    secret = OWN if method == "private_key_jwt" else client.get("client_secret")
    session = OAuth2Session(client["client_id"], secret, token_endpoint_auth_method=method, redirect_uri=CALLBACK, scope="openid email")
    if method == "private_key_jwt":
        session.register_client_auth_method(PrivateKeyJWT(SERVER["token_endpoint"], headers={"kid": "rp"}))
    if method == "client_secret_jwt":
        session.register_client_auth_method(ClientSecretJWT(SERVER["token_endpoint"]))
    return session


def verified(id_token, kind, client, **params):
    """The claims of an id_token, whose signature and hashes fit."""
    algorithm = client["id_token_signed_response_alg"]
    token = jwt.decode(id_token, KEYS, registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False))
    options = {"iss": {"essential": True, "value": SERVER["issuer"]}, "aud": {"essential": True, "value": client["client_id"]}}
    claims = kind(token.claims, token.header, options, {"client_id": client["client_id"], **params})
    claims.validate()
    return claims


def userinfo(session, sub=None):
    answer = session.get(SERVER["userinfo_endpoint"])
    if sub is not None:
        equal(answer.status_code, 200)
        equal(answer.json(), {**answer.json(), "sub": sub, "email": "alice@example.com"})
    return answer.status_code


def flow(response_type, mode, method):
    user, client = User("alice", PASSWORD), register(response_type, method)
    session = session_of(client, method)
    nonce = f"nonce of {client['client_id']}"
    # The library itself sends a challenge for the response type `code` only.
    more = {"code_challenge": create_s256_code_challenge(VERIFIER), "code_challenge_method": "S256"} if "code" in response_type else {}
    url, state = session.create_authorization_url(SERVER["authorization_endpoint"], response_type=response_type, response_mode=mode,
                                                  nonce=nonce, **more)
    answer = parameters(user.go(url, CALLBACK))
    equal((answer["state"], answer["iss"]), (state, SERVER["issuer"]))
    subjects = set()
    if "id_token" in answer:
        kind = HybridIDToken if "code" in response_type else ImplicitIDToken
        claims = verified(answer["id_token"], kind, client, nonce=nonce, code=answer.get("code"), access_token=answer.get("access_token"))
        subjects.add(claims["sub"])
        if response_type == "id_token":
            equal(claims["email"], "alice@example.com")
    hint = answer.get("id_token")
    if "access_token" in answer and "id_token" in answer:
        session.token = {"access_token": answer["access_token"], "token_type": "Bearer"}
        userinfo(session, claims["sub"])
    if "code" in response_type:
        token = session.fetch_token(SERVER["token_endpoint"], grant_type="authorization_code", code=answer["code"], code_verifier=VERIFIER)
        claims = verified(token["id_token"], CodeIDToken, client, nonce=nonce, access_token=token["access_token"])
        subjects.add(claims["sub"])
        userinfo(session, claims["sub"])
        session.refresh_token(SERVER["token_endpoint"], refresh_token=token["refresh_token"])
        userinfo(session, claims["sub"])
        hint = token["id_token"]
    equal(len(subjects), 1)
    away = requests.Request("GET", SERVER["end_session_endpoint"], params={
        "id_token_hint": hint, "post_logout_redirect_uri": BYE, "state": "left"}).prepare().url
    equal(parameters(user.go(away, BYE)), {"state": "left"})
    if session.token:
        equal(userinfo(session), 401)


TYPES = {
    "code": ("query", "form_post"), "id_token": ("fragment", "form_post"), "token id_token": ("fragment", "form_post"),
    "code id_token": ("fragment", "form_post"), "code token": ("fragment", "form_post"), "code id_token token": ("fragment", "form_post"),
}
for response_type, modes in TYPES.items():
    if "code" in response_type:
        for method, mode in zip(METHODS, cycle(modes)):
            check(f"Authlib: {response_type} by {mode}, {method}", lambda: flow(response_type, mode, method))
    else:
        for mode in modes:
            check(f"Authlib: {response_type} by {mode}", lambda: flow(response_type, mode, "none"))
print("# python openid done", flush=True)
