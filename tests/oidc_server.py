"""A stand-in for whom owners sign in with: a local server that speaks OpenID Connect's code flow, as the hub does.

    with OidcServer(client_id="app", client_secret="secret", user="ada") as provider:
        provider.url                  # OPENID_PROVIDER_URL; discovery is at /.well-known/openid-configuration
        provider.user = None          # whoever is asked from now on says no
        provider.paths                # what was asked for, in order

Spoken are discovery, authorize, token, userinfo and JWKS (OpenID Connect Core 1.0, RFC 6749, PKCE of RFC 7636), with
ID tokens signed by RS256. What a client must not do is refused: a strange client or redirect, a code used twice, a
wrong verifier, a wrong secret.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

LIFETIME_S = 600


@dataclass(frozen=True)
class Grant:
    """What a code or an access token stands for."""

    user: str
    redirect_uri: str
    nonce: str | None
    challenge: str | None
    """Of PKCE; S256 is the only method."""


class OidcServer:
    """A context manager; ``user`` is who is signed in at the provider, and agrees."""

    def __init__(self, client_id: str, client_secret: str, user: str | None) -> None:
        self.client_id, self.client_secret, self.user = client_id, client_secret, user
        self.redirect_uris: set[str] = set()
        """Those that the client registered."""
        self.paths: list[str] = []
        self._key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self._codes: dict[str, Grant] = {}
        self._tokens: dict[str, Grant] = {}

    def __enter__(self) -> "OidcServer":
        provider = self

        class Handler(_Handler):
            server_of = provider

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/oauth/authorize",
            "token_endpoint": f"{self.url}/oauth/token",
            "userinfo_endpoint": f"{self.url}/oauth/userinfo",
            "jwks_uri": f"{self.url}/oauth/jwks",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self._key.as_dict(private=False)]}

    def authorize(self, query: dict[str, str]) -> str | None:
        """Where the browser is sent; ``None`` when it must not be sent anywhere."""
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != self.client_id or redirect_uri not in self.redirect_uris:
            return None
        answer = {"state": query["state"]} if "state" in query else {}
        challenge = query.get("code_challenge")
        if query.get("response_type") != "code":
            answer["error"] = "unsupported_response_type"
        elif "openid" not in query.get("scope", "").split():
            answer["error"] = "invalid_scope"
        elif challenge and query.get("code_challenge_method") != "S256":
            answer["error"] = "invalid_request"
        elif self.user is None:
            answer["error"] = "access_denied"
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self._codes[answer["code"]] = Grant(self.user, redirect_uri, query.get("nonce"), challenge)
        return f"{redirect_uri}?{urlencode(answer)}"

    def token(self, form: dict[str, str], client: tuple[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to an exchange of a code."""
        if client != (self.client_id, self.client_secret):
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != "authorization_code":
            return 400, {"error": "unsupported_grant_type"}
        grant = self._codes.pop(form.get("code", ""), None)
        if grant is None or form.get("redirect_uri") != grant.redirect_uri or not _verified(grant, form):
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        self._tokens[access_token] = grant
        now = int(time.time())
        claims = self._about(grant) | {
            "iss": self.url,
            "aud": self.client_id,
            "iat": now,
            "exp": now + LIFETIME_S,
            "at_hash": _half_hash(access_token),
        }
        if grant.nonce:
            claims["nonce"] = grant.nonce
        return 200, {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": LIFETIME_S,
            "scope": "openid profile",
            "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key),
        }

    def userinfo(self, access_token: str) -> dict[str, Any] | None:
        grant = self._tokens.get(access_token)
        return self._about(grant) if grant else None

    def _about(self, grant: Grant) -> dict[str, Any]:
        return {
            "sub": hashlib.sha256(grant.user.encode()).hexdigest()[:24],
            "name": grant.user.title(),
            "preferred_username": grant.user,
            "profile": f"{self.url}/{grant.user}",
        }


def _verified(grant: Grant, form: dict[str, str]) -> bool:
    if grant.challenge is None:
        return True
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == grant.challenge


def _half_hash(access_token: str) -> str:
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    server_of: OidcServer

    def do_GET(self) -> None:
        provider, address = self.server_of, urlsplit(self.path)
        provider.paths.append(address.path)
        match address.path:
            case "/.well-known/openid-configuration":
                self._json(200, provider.discovery())
            case "/oauth/jwks":
                self._json(200, provider.jwks())
            case "/oauth/authorize":
                target = provider.authorize(dict(parse_qsl(address.query)))
                if target is None:
                    self._json(400, {"error": "invalid_request"})
                else:
                    self.send_response(302)
                    self.send_header("Location", target)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
            case "/oauth/userinfo":
                about = provider.userinfo(self.headers.get("Authorization", "").removeprefix("Bearer "))
                self._json(200, about) if about else self._json(401, {"error": "invalid_token"})
            case _:
                self._json(404, {"error": "not_found"})

    def do_POST(self) -> None:
        self.server_of.paths.append(self.path)
        form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
        if self.path == "/oauth/token":
            self._json(*self.server_of.token(form, self._client(form)))
        else:
            self._json(404, {"error": "not_found"})

    def _client(self, form: dict[str, str]) -> tuple[str, str]:
        """Who asks, told in the header or in the form."""
        method, _, value = self.headers.get("Authorization", "").partition(" ")
        if method == "Basic":
            name, _, secret = base64.b64decode(value).decode().partition(":")
            return unquote(name), unquote(secret)
        return form.get("client_id", ""), form.get("client_secret", "")

    def _json(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""
