"""What tests are called: no two alike, so that whoever reads a name in an alert or a list knows which one is meant."""

import re
import unicodedata
from itertools import count
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans.models import TestPlan

_LONGEST: Final = 100


def fold_name(name: str) -> str:
    """The form in which names of tests are compared: NFKC, case-folded, with single spaces.

    >>> fold_name("Head  Office") == fold_name("head office")
    True
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def claim_name(db: Session, name: str, own_id: str = "") -> str:
    """The form of a name that only one test may have, for its `name_key`.

    Tests that had the same name before that was refused have no `name_key`, but for the oldest of them.

    Raises:
        ApiError: 409 if another test has it.
    """
    folded = fold_name(name)
    alike = or_(TestPlan.name_key == folded, TestPlan.name_key.is_(None))
    others = db.scalars(select(TestPlan).where(alike, TestPlan.id != own_id).order_by(TestPlan.created_at, TestPlan.id))
    taken = next((other for other in others if fold_name(other.name) == folded), None)
    if taken is not None:
        what = f"{taken.probe} to {taken.target}" if taken.target else taken.probe
        raise ApiError(
            409,
            f"the test {taken.key} ({what}) is called {taken.name!r} already; choose another name, or change that test",
            field="body.name",
        )
    return folded


def free_copy_name(db: Session, name: str) -> str:
    """A name for a copy that no test has: "(copy)", "(copy 2)" and so on."""
    base = re.sub(r" \(copy(?: \d+)?\)$", "", name)
    folded = fold_name(base)[: _LONGEST - 20]
    taken = {fold_name(one) for one in db.scalars(select(TestPlan.name)) if fold_name(one).startswith(folded)}
    endings = (" (copy)" if number == 1 else f" (copy {number})" for number in count(1))
    return next(
        candidate
        for ending in endings
        if fold_name(candidate := base[: _LONGEST - len(ending)].rstrip() + ending) not in taken
    )


def free_key(db: Session, name: str) -> str:
    """A key made of a name that no test has."""
    ascii_name = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:50] or "test"
    taken = set(db.scalars(select(TestPlan.key).where(TestPlan.key.startswith(base))))
    candidates = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(key for key in candidates if key not in taken)
