"""A small OpenID provider: a real server that signs real tokens, and misbehaves as it is told to."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "streamswarm", "planted-oidc-client-secret"


class OpenIdProvider:
    """What it is asked, and what it answers.

    Attributes:
        url: where it listens; set once it does.
        claims: of whoever logs in next.
        userinfo: what the userinfo endpoint adds.
        twist: changes the ID token's claims before they are signed.
        sign: makes the ID token of the claims.
        requests: parameters of the authorization requests, oldest first.
        refusals: why code exchanges were refused.
    """

    def __init__(self) -> None:
        self.url = ""
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.claims: dict[str, Any] = {"sub": "u-1", "preferred_username": "kim", "email": "kim@example.org"}
        self.userinfo: dict[str, Any] = {}
        self.twist: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.requests: list[dict[str, str]] = []
        self.refusals: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def signed(self, claims: dict[str, Any], key: RSAKey | None = None, kid: str = "one") -> str:
        return jwt.encode({"alg": "RS256", "kid": kid}, claims, key or self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
        return ".".join([*(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts), ""])

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
                Route("/jwks", self._jwks),
            ]
        )

    async def _metadata(self, _request: Request) -> Response:
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "logout"}
        endpoints = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in paths.items()}
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **endpoints})

    async def _jwks(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer access"
        return JSONResponse({"sub": self.claims["sub"], **self.userinfo})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.requests.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked = self._codes.pop(form["code"], None)
        why = self._problem(request, form, asked)
        if why or asked is None:
            self.refusals.append(why)
            return JSONResponse({"error": "invalid_grant"}, 400)
        at = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": at, "exp": at + 300, "nonce": asked["nonce"], **self.claims}
        token = self.sign(self.twist(claims))
        return JSONResponse({"access_token": "access", "token_type": "Bearer", "id_token": token})

    def _problem(self, request: Request, form: dict[str, str], asked: dict[str, str] | None) -> str:
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None:
            return "the code was used before"
        if request.headers.get("Authorization") != f"Basic {basic}":
            return "wrong client secret"
        if challenge.decode().rstrip("=") != asked["code_challenge"] or asked["code_challenge_method"] != "S256":
            return "the verifier doesn't fit the challenge"
        return "" if form["redirect_uri"] == asked["redirect_uri"] else "another redirect URI"
