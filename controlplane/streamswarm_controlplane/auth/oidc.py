"""Single sign-on with OpenID Connect: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0)."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete
from sqlalchemy.orm import Session

from streamswarm_controlplane.auth.models import OidcLogin
from streamswarm_controlplane.db import delete_rows
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.outbound import patience
from streamswarm_core.secret import hash_secret

CALLBACK: Final = "/api/v1/auth/oidc/callback"
_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a private key of the provider's. Neither `none` nor those by the client's own secret are among them."""
_LEEWAY_SECONDS: Final = 30
_LOGIN_MINUTES: Final = 10
_TIMEOUT_SECONDS: Final = 10.0
_METADATA_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that has begun: where to send the browser, and the cookie that it has to bring back."""

    url: str
    browser_secret: str


class Provider:
    """The OpenID provider of the settings; what it publishes is remembered for five minutes.

    Args:
        settings: with `oidc_issuer`.
        client: for requests to it.
    """

    def __init__(self, settings: ControlPlaneSettings, client: httpx.Client) -> None:
        self._settings = settings
        self._client = client
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._fresh_until = now()

    @classmethod
    def of(cls, settings: ControlPlaneSettings) -> "Provider | None":
        """The provider, if the settings have one."""
        if not settings.oidc_issuer or not settings.oidc_client_id:
            return None
        return cls(settings, httpx.Client(timeout=patience(_TIMEOUT_SECONDS), follow_redirects=False))

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def begin(self, db: Session, next_path: str) -> Begun:
        """Begin a login.

        Raises:
            ApiError: 502 if the provider can't be asked.
        """
        state, browser, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(4))
        db.execute(delete(OidcLogin).where(OidcLogin.expires_at < now()))
        db.add(
            OidcLogin(
                state_hash=hash_secret(state),
                browser_hash=hash_secret(browser),
                nonce=nonce,
                code_verifier=verifier,
                next_path=next_path,
                expires_at=now() + timedelta(minutes=_LOGIN_MINUTES),
            )
        )
        url = prepare_grant_uri(
            self.metadata()["authorization_endpoint"],
            client_id=self._settings.oidc_client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=self._settings.oidc_scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Begun(str(url), browser)

    def claims(self, login: OidcLogin, code: str, error: str = "") -> dict[str, Any]:
        """Exchange the code for an ID token, and return what it says once it has been verified.

        Raises:
            ApiError: 401 if the provider refuses the code or the token isn't good, 502 if it can't be asked.
        """
        if error or not code:
            raise _refused(f"the provider says {re.sub(r'[^a-z_]', '', error)[:60] or 'nothing'}")
        answer = self._exchange(login, code)
        claims = self._verified(str(answer.get("id_token", "")), login.nonce, str(answer.get("access_token", "")))
        endpoint = self.metadata().get("userinfo_endpoint")
        missing = {self._settings.oidc_username_claim, self._settings.oidc_role_claim} - {"", *claims}
        if missing and endpoint and answer.get("access_token"):
            headers = {"Authorization": f"Bearer {answer['access_token']}"}
            more = self._json(self._ask("GET", endpoint, headers=headers))
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return claims

    def end_session_url(self) -> str:
        """Where the browser ends its session at the provider, or ""."""
        try:
            endpoint = self.metadata().get("end_session_endpoint")
        except ApiError:
            return ""
        query = {"client_id": self._settings.oidc_client_id, "post_logout_redirect_uri": f"{self._settings.url}/login"}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}" if endpoint else ""

    def metadata(self) -> dict[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0).

        Raises:
            ApiError: 502 if it can't be asked, or speaks for another issuer.
        """
        if now() >= self._fresh_until:
            issuer = self._settings.oidc_issuer
            found = self._json(self._ask("GET", get_well_known_url(issuer, external=True)))
            if found.get("issuer") != issuer:
                raise _unusable(f"it calls itself {found.get('issuer')!r}, not {issuer!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(found.get(name), str):
                    raise _unusable(f"its metadata has no {name}")
            self._keys = None
            self._metadata = found
            self._fresh_until = now() + timedelta(seconds=_METADATA_SECONDS)
        return self._metadata

    @property
    def _redirect_uri(self) -> str:
        return f"{self._settings.url}{CALLBACK}"

    def _exchange(self, login: OidcLogin, code: str) -> Mapping[str, Any]:
        settings = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": login.code_verifier,
            "client_id": settings.oidc_client_id,
        }
        secret = settings.oidc_client_secret.get_secret_value()
        methods = self.metadata().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic = (
            httpx.BasicAuth(settings.oidc_client_id, secret) if secret and "client_secret_basic" in methods else None
        )
        if secret and basic is None:
            form["client_secret"] = secret
        answer = self._ask("POST", self.metadata()["token_endpoint"], data=form, auth=basic)
        if answer.status_code >= 400:
            raise _refused("the provider didn't take the code")
        return self._json(answer)

    def _verified(self, id_token: str, nonce: str, access_token: str) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        token = self._decoded(id_token)
        wanted = {"essential": True, "value": self._settings.oidc_issuer}
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={"iss": wanted, "aud": {"essential": True, "value": self._settings.oidc_client_id}},
            params={"nonce": nonce, "client_id": self._settings.oidc_client_id, "access_token": access_token},
        )
        try:
            claims.validate(leeway=_LEEWAY_SECONDS)
        except JoseError as error:
            raise _refused(f"its ID token isn't good: {error.error}") from None
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise _refused("its ID token names nobody")
        return dict(claims)

    def _decoded(self, id_token: str) -> jwt.Token:
        for again in (False, True):
            if self._keys is None or again:
                self._keys = KeySet.import_key_set(self._json(self._ask("GET", self.metadata()["jwks_uri"])))  # type: ignore[arg-type]
            try:
                return jwt.decode(id_token, self._keys, algorithms=_ALGORITHMS)
            except (JoseError, ValueError) as error:
                # A key that isn't known may be one that the provider has changed to since.
                problem = error
        raise _refused(f"its ID token isn't good: {type(problem).__name__}") from None

    def _ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            return self._client.request(method, url, **request)
        except httpx.HTTPError as error:
            raise _unusable(f"{url}: {type(error).__name__}") from None

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if answer.status_code != httpx.codes.OK or not isinstance(found, dict):
            raise _unusable(f"{answer.url.copy_with(query=None)}: HTTP {answer.status_code}")
        return found


def take(db: Session, state: str, browser_secret: str) -> OidcLogin:
    """Use up the login that a state belongs to.

    Raises:
        ApiError: 401 if there is none, it was used or is too old, or another browser began it.
    """
    login = db.get(OidcLogin, hash_secret(state), with_for_update=True)
    if login is not None:
        gone = delete_rows(db, delete(OidcLogin).where(OidcLogin.state_hash == login.state_hash)) == 0
        db.commit()  # used up, whatever comes of it
        if not gone and login.expires_at > now() and login.browser_hash == hash_secret(browser_secret):
            return login
    raise _refused("this login was not begun in this browser, was used already, or took longer than ten minutes")


def _refused(why: str) -> ApiError:
    return ApiError(401, f"single sign-on failed: {why}; try again from the login page")


def _unusable(why: str) -> ApiError:
    return ApiError(502, f"single sign-on: the provider can't be used: {why}")
