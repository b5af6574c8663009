from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class Site(Base):
    """Where agents are. Agents say a site by its name and not by its id: a name without a row is a site, too.

    `latitude` and `longitude` are degrees, and both null where the place isn't known. `time_zone` is an IANA name, and
    null where nobody has said it.
    """

    __tablename__ = "sites"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    time_zone: Mapped[str | None]
    address: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
