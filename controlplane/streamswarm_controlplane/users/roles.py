from enum import StrEnum


class Role(StrEnum):
    """What a user may do; each role includes the ones after it."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"

    def includes(self, other: "Role") -> bool:
        """Whether a user with this role may do what `other` may."""
        order = list(Role)
        return order.index(self) <= order.index(other)

    def weaker(self, other: "Role") -> "Role":
        """Whichever of the two may do less."""
        return other if self.includes(other) else self
