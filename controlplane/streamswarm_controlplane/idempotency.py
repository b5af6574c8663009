"""`Idempotency-Key`: a request that is sent again because its answer got lost does nothing twice.

The answer is kept in the transaction that the request makes its changes in: either both are there or neither. Who may
begin is decided by the table's primary key, so it doesn't matter which worker a request comes to.

An answer may hold a secret that is shown once. Of the key only a hash is kept, and the answer is encrypted with a key
derived from it (HKDF, RFC 5869; AES-256-GCM): without the caller's key nobody can read it.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy import CursorResult, delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from streamswarm_controlplane.bodies import LARGEST_BODY, bounded, check_content_type
from streamswarm_controlplane.db import Base
from streamswarm_controlplane.deps import SessionDep
from streamswarm_controlplane.dryrun import is_dry_run
from streamswarm_controlplane.problems import Answered, ApiError
from streamswarm_core.clock import now

KEY_HEADER: Final = "Idempotency-Key"
REPLAY_HEADER: Final = "Idempotent-Replayed"
_KEPT: Final = timedelta(hours=24)
_ABANDONED: Final = timedelta(minutes=2)
_LARGEST_ANSWER: Final = 1_000_000
_NONCE_BYTES: Final = 12
_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
"""Of every answer that says nothing else: what one caller may see is for no proxy to keep for the next."""


class KeptAnswer(Base):
    """A request with a key; `answer` is null while it is under way."""

    __tablename__ = "idempotency"

    key_hash: Mapped[str] = mapped_column(primary_key=True)
    request_mac: Mapped[str]
    claim: Mapped[str]
    claimed_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    answer: Mapped[bytes | None]


class Claim:
    """The right to answer a request with a key.

    Args:
        db: the request's own session.
        key: the caller's key.
        caller: who it is; others' keys are others.
        request: what is asked for: method, path and body.
    """

    def __init__(self, db: Session, key: str, caller: str, request: bytes) -> None:
        self._db = db
        derived = HKDF(SHA256(), 96, salt=None, info=f"streamswarm idempotency 1 {caller}".encode()).derive(
            key.encode()
        )
        self._key_hash = derived[:32].hex()
        self._cipher = AESGCM(derived[32:64])
        # With a key of its own: a body may hold a password, whose plain hash could be guessed.
        self._request_mac = hmac.new(derived[64:], request, hashlib.sha256).hexdigest()
        self._claim = os.urandom(16).hex()

    def take(self) -> None:
        """Begin, visibly to everybody else.

        Raises:
            Answered: it was answered before.
            ApiError: 409 while it is under way, 422 if the key was used for something else.
        """
        self._db.execute(delete(KeptAnswer).where(KeptAnswer.expires_at <= now()))
        kept = self._db.get(KeptAnswer, self._key_hash)
        if kept is None:
            self._add()
        else:
            self._judge(kept)
        self._db.commit()

    def _add(self) -> None:
        kept = KeptAnswer(
            key_hash=self._key_hash,
            request_mac=self._request_mac,
            claim=self._claim,
            claimed_at=now(),
            expires_at=now() + _KEPT,
        )
        self._db.add(kept)
        try:
            self._db.flush()
        except IntegrityError:
            raise _under_way() from None

    def _judge(self, kept: KeptAnswer) -> None:
        if not hmac.compare_digest(kept.request_mac, self._request_mac):
            raise ApiError(
                422,
                f"{KEY_HEADER}: this key was used for another request within 24 hours; make a new one for each",
                field=f"header.{KEY_HEADER}",
            )
        if kept.answer is not None:
            raise Answered(_replay(self._decrypted(kept.answer)))
        if now() - kept.claimed_at < _ABANDONED:
            raise _under_way()
        # Whoever began has died, or can't finish any more once the claim is another's.
        taken = self._db.execute(
            update(KeptAnswer)
            .where(KeptAnswer.key_hash == self._key_hash, KeptAnswer.claim == kept.claim)
            .values(claim=self._claim, claimed_at=now())
        )
        if not _changed_one(taken):
            raise _under_way()

    def keep(self, response: Response) -> None:
        """Put the answer into the transaction that made it.

        Raises:
            ApiError: 409 if it took so long that another request took over; nothing of this one stays.
        """
        body = getattr(response, "body", None)
        if response.status_code >= 400 or not isinstance(body, bytes) or len(body) > _LARGEST_ANSWER:
            statement = delete(KeptAnswer).where(KeptAnswer.key_hash == self._key_hash, KeptAnswer.claim == self._claim)
            self._db.execute(statement)
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
        answer = {"status": response.status_code, "headers": headers, "body": base64.b64encode(body).decode()}
        kept = self._db.execute(
            update(KeptAnswer)
            .where(KeptAnswer.key_hash == self._key_hash, KeptAnswer.claim == self._claim)
            .values(answer=self._encrypted(answer))
        )
        if not _changed_one(kept):
            raise _under_way()

    def release(self) -> None:
        """Let go after a refusal: nothing was changed, so the request may be sent again."""
        self._db.rollback()
        self._db.execute(
            delete(KeptAnswer).where(KeptAnswer.key_hash == self._key_hash, KeptAnswer.claim == self._claim)
        )
        self._db.commit()

    def _encrypted(self, answer: dict[str, Any]) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, json.dumps(answer).encode(), self._key_hash.encode())

    def _decrypted(self, answer: bytes) -> dict[str, Any]:
        nonce, sealed = answer[:_NONCE_BYTES], answer[_NONCE_BYTES:]
        opened: dict[str, Any] = json.loads(self._cipher.decrypt(nonce, sealed, self._key_hash.encode()))
        return opened


def _replay(answer: dict[str, Any]) -> Response:
    """The first answer once more."""
    response = Response(base64.b64decode(answer["body"]), answer["status"])
    kept = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer["headers"]]
    response.raw_headers = [*kept, (REPLAY_HEADER.lower().encode(), b"true")]
    return response


def _changed_one(result: Any) -> bool:
    return isinstance(result, CursorResult) and result.rowcount == 1


def _under_way() -> ApiError:
    return ApiError(
        409,
        f"{KEY_HEADER}: the first request with this key is still under way; send it again in a moment",
        field=f"header.{KEY_HEADER}",
        headers={"Retry-After": "1"},
    )


class ApiRoute(APIRoute):
    """The route class of every router of the API: it checks bodies, and keeps the answers of requests with a key.

    Attributes:
        largest_body: bytes.
    """

    largest_body = LARGEST_BODY

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, which ends with the answer made and the request's transaction still open."""
        handle = super().get_route_handler()

        async def keeping(request: Request) -> Response:
            request.state.received_at = now()
            request = bounded(request, self.largest_body)
            await check_content_type(request, self.body_field)
            if request.method == "POST" and KEY_HEADER in request.headers:
                request.state.request_digest = hashlib.sha256(await request.body()).digest()
            try:
                response = await handle(request)
                for name, value in _HEADERS.items():
                    response.headers.setdefault(name, value)
                claim: Claim | None = getattr(request.state, "claim", None)
                if claim is not None:
                    await run_in_threadpool(claim.keep, response)
            except BaseException:
                claim = getattr(request.state, "claim", None)
                if claim is not None:
                    await run_in_threadpool(claim.release)
                raise
            return response

        return keeping


def _once(
    request: Request,
    db: SessionDep,
    key: Annotated[
        str | None,
        Header(
            alias=KEY_HEADER,
            min_length=16,
            max_length=255,
            pattern=r"^[!-~]+$",
            description="Random, such as a UUID. Sent again with the same key within 24 hours, the request does "
            f"nothing more and gets the first answer, marked `{REPLAY_HEADER}: true`.",
        ),
    ] = None,
) -> None:
    if key is None or is_dry_run(request):
        return
    caller: str = getattr(request.state, "caller", "anybody")
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + request.state.request_digest
    claim = Claim(db, key, caller, asked)
    claim.take()
    request.state.claim = claim


OnceDep = Annotated[None, Depends(_once)]
"""The last parameter of every POST that creates or acts; behind the one that says who may."""
