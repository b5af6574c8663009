from typing import Final

from streamswarm_cli.admin import noun
from streamswarm_cli.admin.noun import Noun

AGENTS: Final = Noun(
    "/agents",
    "agent",
    "name",
    {
        "name": "name",
        "site": "site",
        "state": "state",
        "version": "version",
        "last seen": "last_seen_at",
        "queued": "queued_points",
        "labels": "labels",
    },
)
app: Final = noun.group("Enrolled agents.")
noun.add_list(app, AGENTS)
noun.add_show(app, AGENTS)
noun.add_update(app, AGENTS)
noun.add_delete(app, AGENTS)
noun.add_act(app, AGENTS, "revoke", "Shut an agent out; its data stay.", ask=True)
noun.add_act(app, AGENTS, "drain", "Let an agent start no more runs.")
noun.add_act(app, AGENTS, "undrain", "Let a drained agent run its tests again.")
noun.add_act(app, AGENTS, "restart", "Let an agent start anew.")
